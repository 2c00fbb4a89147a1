"""What U-Boot reads: a slot's FIT image (kernel, device tree, initramfs, each with its hash) and the boot script."""

import os
import subprocess
from pathlib import Path

from board import Board
from packages import TOP

NODE = """
        {name} {{
            description = "{name}"; data = /incbin/("{file}"); type = "{type}"; arch = "{arch}";
            os = "linux"; compression = "{compression}"; {load}
            hash {{ algo = "{algorithm}"; }};
        }};"""


def slot(board: Board, kernel: Path, compression: str, dtb: Path | None, initramfs: Path, folder: Path, time: int) -> bytes:
    """A FIT image; the source file stays in the folder for whoever wants to look."""
    address = f"load = <{board.kernel_load:#x}>; entry = <{board.kernel_load:#x}>;"
    # What such a U-Boot can compute.
    algorithm = "sha256" if board.uboot_fit else "crc32"
    parts = [("kernel", kernel, "kernel", compression, address), ("initramfs", initramfs, "ramdisk", "none", "")]
    if dtb:
        parts.append(("fdt", dtb, "flat_dt", "none", ""))
    nodes = "".join(
        NODE.format(name=name, file=file.name, type=kind, arch=board.cpu.fit, compression=packed, load=load, algorithm=algorithm)
        for name, file, kind, packed, load in parts
    )
    tree = 'fdt = "fdt";' if dtb else ""
    source = folder / "slot.its"
    source.write_text(
        f"""/dts-v1/;
/ {{
    description = "Pillarbox for {board.name}"; #address-cells = <1>;
    images {{{nodes}
    }};
    configurations {{
        default = "system";
        system {{ kernel = "kernel"; ramdisk = "initramfs"; {tree} }};
    }};
}};
"""
    )
    return _mkimage(["-f", source.name, "slot.fit"], folder, folder / "slot.fit", time)


def boot_script(board: Board, extra: str, folder: Path, time: int) -> Path:
    """boot.scr from boot.cmd: the same for every board but for what stands in its first lines."""
    settings = {
        "pbx_fit": f"{board.fit_load:x}",
        "pbx_kernel": f"{board.kernel_load:x}",
        "pbx_apart": "" if board.uboot_fit else "apart",
        "pbx_kernel_args": f"console={board.console} {board.cmdline} {extra}".strip(),
        # Without a device tree in the slot, the one that U-Boot was given goes on to the kernel.
        "pbx_tree": "" if board.dtb else "given",
    }
    lines = [f"setenv {name} '{value}'" for name, value in settings.items()]
    if board.memory_end:
        lines.append(f"setenv bootm_size {board.memory_end:x}")
    script = folder / "boot.cmd"
    script.write_text("\n".join(lines) + "\n" + (TOP / "image/boot.cmd").read_text())
    _mkimage(["-C", "none", "-A", board.cpu.fit, "-T", "script", "-n", "Pillarbox", "-d", script.name, "boot.scr"], folder, folder / "boot.scr", time)
    return folder / "boot.scr"


def _mkimage(arguments, folder, result, time):
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(time)}
    subprocess.run(["mkimage", *arguments], cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
    return result.read_bytes()
