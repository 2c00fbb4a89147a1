# Which slot is booted, and what happens when it does not come up: see docs/board.md. U-Boot runs this as boot.scr.
# Numbers are hexadecimal. The boot state is the first sector of partition 3, at 36 MiB, sector 12000;
# slot A lies 1 MiB behind it, slot B 25 MiB.
setexpr pbx_state ${pbx_fit} - 1000
setenv pbx_slot A
setenv pbx_other B
setenv pbx_trial 0

${devtype} dev ${devnum}
if ${devtype} read ${pbx_state} 12000 1; then
  setexpr pbx_magic ${pbx_state} + 4
  # "PBXS", "LOT1"
  if itest.l *${pbx_state} == 53584250; then if itest.l *${pbx_magic} == 31544f4c; then
    setexpr pbx_active ${pbx_state} + 8
    setexpr pbx_try ${pbx_state} + 9
    setexpr pbx_tried ${pbx_state} + a
    if itest.b *${pbx_active} == 42; then
      setenv pbx_slot B
      setenv pbx_other A
    fi
    setenv pbx_wanted
    if itest.b *${pbx_try} == 41; then setenv pbx_wanted A; fi
    if itest.b *${pbx_try} == 42; then setenv pbx_wanted B; fi
    if test -n "${pbx_wanted}"; then
      # The note that it was tried is on the card before it is tried: whatever happens then, the next boot is the old one.
      cp.b ${pbx_try} ${pbx_tried} 1
      mw.b ${pbx_try} 0 1
      if ${devtype} write ${pbx_state} 12000 1; then
        setenv pbx_other ${pbx_slot}
        setenv pbx_slot ${pbx_wanted}
        setenv pbx_trial 1
      fi
    fi
  fi; fi
fi

# The first sector tells how long the slot is; bootm verifies the hash of each part before it starts anything.
# (A variable of a loop is hidden by one of the environment with its name.)
for pbx_letter in ${pbx_slot} ${pbx_other}; do
  echo "Pillarbox: slot ${pbx_letter}, trial ${pbx_trial}"
  setenv pbx_sector 12800
  if test ${pbx_letter} = B; then setenv pbx_sector 1e800; fi
  if ${devtype} read ${pbx_fit} ${pbx_sector} 1; then if fdt addr ${pbx_fit}; then
    fdt header get pbx_size totalsize
    setexpr pbx_count ${pbx_size} + 1ff
    setexpr pbx_count ${pbx_count} / 200
    if itest ${pbx_count} -le c000; then
      ${devtype} read ${pbx_fit} ${pbx_sector} ${pbx_count}
      setenv bootargs "${pbx_kernel_args} quiet panic=10 oops=panic sysctl.kernel.sysrq=0 pillarbox.slot=${pbx_letter} pillarbox.trial=${pbx_trial}"
      if test -n "${pbx_apart}"; then
        # This U-Boot knows no FIT images. Such a one is a device tree, so its parts are found and verified all the same.
        for pbx_part in kernel initramfs fdt; do
          fdt get addr pbx_at /images/${pbx_part} data
          fdt get size pbx_size /images/${pbx_part} data
          fdt get value pbx_sum /images/${pbx_part}/hash value
          crc32 ${pbx_at} ${pbx_size} ${pbx_state}
          if itest.l *${pbx_state} == ${pbx_sum}; then
            setenv pbx_at_${pbx_part} ${pbx_at}
            setenv pbx_size_${pbx_part} ${pbx_size}
          else
            setenv pbx_apart damaged
          fi
        done
        if test ${pbx_apart} != damaged; then
          # The device tree has to be aligned.
          setexpr pbx_tree ${pbx_state} - 100000
          cp.b ${pbx_at_fdt} ${pbx_tree} ${pbx_size_fdt}
          unzip ${pbx_at_kernel} ${pbx_kernel}
          booti ${pbx_kernel} ${pbx_at_initramfs}:${pbx_size_initramfs} ${pbx_tree}
        fi
        setenv pbx_apart apart
      else if test -n "${pbx_tree}"; then bootm ${pbx_fit}#system ${pbx_fit}#system ${fdtcontroladdr}; else bootm ${pbx_fit}#system; fi; fi
    fi
  fi; fi
  echo "Pillarbox: slot ${pbx_letter} has no system that can be started"
  setenv pbx_trial 0
done

# Not on to the network: nobody there may say what this device runs.
echo "Pillarbox: neither slot can be started. Write the image to the card again; mail can be saved from partition 4."
sleep 30
reset
