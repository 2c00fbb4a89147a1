//! A board in QEMU: the card image as it would be written, from the boot ROM's first sector on, the serial console, and
//! the network through QEMU's user mode, in which the test's machine is 10.0.2.2.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::home::CABLE;
use crate::support::process::run;
use crate::support::{Connection, Imap, PATIENCE, Port, Scratch, wait_up_to};

/// How long anything on the emulated board may take: it is twenty times slower than a real one, more so on a busy machine.
pub const LONG: Duration = Duration::from_secs(900);
/// The operator's console waits for a command; the second time with settings that are not committed.
const PROMPTS: [&str; 2] = ["\npillarbox> ", "\npillarbox (changed)> "];
/// What else the console may ask when it begins.
const NEW_PASSWORD: &str = "\nnew password: ";
const OPERATOR: &str = "\noperator's password: ";
/// Where the card's FAT partitions begin, for mtools: the owner's, and U-Boot's.
const FAT: &str = "4M";
const BOOT: &str = "32M";

/// The home's end of the cable, where the board is plugged into a network of its own.
pub const TAP: &str = "tap0";

/// A folder of `make image`'s results: `target/image`, or what `PILLARBOX_IMAGES` names.
pub fn images() -> PathBuf {
    std::env::var_os("PILLARBOX_IMAGES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/image"), PathBuf::from)
}

/// A figure for whoever runs this: `make test-image` shows them at its end.
pub fn measured(what: &str) {
    println!("\n== {what}");
    let mut file =
        std::fs::File::options().create(true).append(true).open(images().join("measured")).unwrap();
    writeln!(file, "{what}").unwrap();
}

/// Ports of this machine that lead to the board's.
pub struct Ports {
    pub smtp: Port,
    pub http: Port,
    pub https: Port,
    pub submissions: Port,
    pub imaps: Port,
}

impl Ports {
    fn reserve() -> Ports {
        Ports {
            smtp: Port::reserve(),
            http: Port::reserve(),
            https: Port::reserve(),
            submissions: Port::reserve(),
            imaps: Port::reserve(),
        }
    }
    /// For QEMU, to the board's `address`.
    fn forwards(&self, address: &str) -> String {
        [(&self.smtp, 25), (&self.http, 80), (&self.https, 443), (&self.submissions, 465), (&self.imaps, 993)]
            .map(|(port, inside)| format!(",hostfwd=tcp:127.0.0.1:{}-{address}:{inside}", port.number))
            .concat()
    }
}

/// A board with its card. Without power at first; what it shows on its console is printed when a test fails.
pub struct Device {
    scratch: Scratch,
    pub ports: Ports,
    /// The board's own; empty: the one that DHCP gives.
    pub address: &'static str,
    /// What it is plugged into in place of QEMU's own network: then its ports are reached there.
    pub home: Option<String>,
    powered: Option<Powered>,
}

struct Powered {
    qemu: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
    /// What of `shown` was looked at.
    seen: usize,
    since: Instant,
}

impl Device {
    /// With a copy of the orangepi-pc image as its card.
    pub fn new() -> Device {
        let scratch = Scratch::new("board");
        let image = images().join("orangepi-pc.img");
        let copy =
            run(Command::new("cp").arg("--sparse=always").arg(&image).arg(scratch.join("card")), PATIENCE);
        assert_eq!(copy.code, Some(0), "{}: run this by `make test-image`", image.display());
        Device { scratch, ports: Ports::reserve(), address: "", home: None, powered: None }
    }

    pub fn card(&self) -> PathBuf {
        self.scratch.join("card")
    }

    /// Makes the card larger than the image, as cards are; `size` in octets, a power of two.
    pub fn enlarge_card(&self, size: u64) {
        std::fs::File::options().write(true).open(self.card()).unwrap().set_len(size).unwrap();
    }

    /// Makes the card shorter than the image, as when it was written to one that is too small; a power of two.
    pub fn shorten_card(&self, size: u64) {
        self.enlarge_card(size);
    }

    /// A file or folder of this test.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Puts a file onto the partition that every PC reads.
    pub fn put_on_card(&self, name: &str, content: impl AsRef<[u8]>) {
        self.put(FAT, name, &self.scratch.write(name, content));
    }

    fn put(&self, partition: &str, name: &str, file: &Path) {
        let partition = format!("{}@@{partition}", self.card().display());
        let mut copy = Command::new("mcopy");
        run(copy.args(["-o", "-i", &partition]).arg(file).arg(format!("::/{name}")), PATIENCE).success();
    }

    /// Lets the kernel use this much memory only, such as `64M`; QEMU's machine always has 1 GiB. What
    /// `make image CMDLINE=mem=64M` does.
    pub fn limit_memory(&self, to: &str) {
        let script = std::fs::read_to_string(images().join("orangepi-pc.work/boot.cmd")).unwrap();
        let limited = script.replacen("console=", &format!("mem={to} console="), 1);
        assert_ne!(limited, script, "the kernel's arguments stand elsewhere");
        let (text, made) = (self.scratch.write("boot.cmd", limited), self.scratch.join("boot.scr"));
        let mut mkimage = Command::new("mkimage");
        mkimage.args(["-C", "none", "-A", "arm", "-T", "script", "-d"]).args([&text, &made]);
        run(&mut mkimage, PATIENCE).success();
        self.put(BOOT, "boot.scr", &made);
    }

    /// Reads a file from that partition.
    pub fn read_from_card(&self, name: &str) -> String {
        let card = format!("{}@@{FAT}", self.card().display());
        run(Command::new("mtype").args(["-i", &card]).arg(format!("::/{name}")), PATIENCE).success()
    }

    /// Writes octets to a place of the card, as a defect of it would.
    pub fn damage(&self, offset: u64, octets: &[u8]) {
        use std::os::unix::fs::FileExt;
        std::fs::File::options().write(true).open(self.card()).unwrap().write_all_at(octets, offset).unwrap();
    }

    pub fn power_on(&mut self) {
        assert!(self.powered.is_none(), "it is on");
        let mut qemu = match &self.home {
            None => Command::new("qemu-system-arm"),
            Some(home) => {
                let mut inside = Command::new("ip");
                inside.args(["netns", "exec", home, "qemu-system-arm"]);
                inside
            }
        };
        qemu.args(["-M", "orangepi-pc", "-m", "1G", "-display", "none", "-serial", "stdio", "-no-reboot"])
            // With four threads every flush of an address translation stops all of them. The guest is told a clock
            // of 24 MHz, and QEMU's counts at another rate unless it is told, too.
            .args(["-accel", "tcg,thread=single", "-global", "arm-cpu.cntfrq=24000000"])
            .arg("-monitor")
            .arg(format!("unix:{},server=on,wait=off", self.scratch("monitor").display()))
            .arg("-drive")
            .arg(format!("if=sd,format=raw,file={}", self.card().display()))
            .arg("-nic");
        match &self.home {
            None => qemu.arg(format!("user{}", self.ports.forwards(self.address))),
            Some(_) => {
                let [own, other] = CABLE;
                qemu.arg(format!("socket,udp=127.0.0.1:{other},localaddr=127.0.0.1:{own}"))
            }
        };
        let mut qemu = qemu
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("qemu-system-arm");
        let mut console = qemu.stdout.take().unwrap();
        let keys = qemu.stdin.take().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let writer = shown.clone();
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(n @ 1..) = console.read(&mut octets) {
                let text = String::from_utf8_lossy(&octets[..n]).replace('\r', "");
                print!("{text}");
                writer.lock().unwrap().push_str(&text);
            }
        });
        self.powered = Some(Powered { qemu, keys, shown, seen: 0, since: Instant::now() });
    }

    /// Plugs a file in as a USB stick.
    pub fn plug(&self, stick: &str, file: &Path) {
        self.monitor(&format!("drive_add 0 if=none,id={stick}-drive,format=raw,file={}", file.display()));
        self.monitor(&format!("device_add usb-storage,id={stick},drive={stick}-drive"));
    }

    /// Pulls it.
    pub fn pull(&self, stick: &str) {
        self.monitor(&format!("device_del {stick}"));
        // Its drive goes with it, a moment later.
        wait_up_to(PATIENCE, "the stick is out", || {
            (!self.monitor("info block").contains(&format!("{stick}-drive"))).then_some(())
        });
    }

    /// A command of QEMU's monitor; what it says.
    fn monitor(&self, command: &str) -> String {
        const PROMPT: &str = "(qemu) ";
        let mut monitor = UnixStream::connect(self.scratch("monitor")).unwrap();
        monitor.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut until_prompt = |said: &mut String| {
            let mut octets = [0; 4096];
            while !said.ends_with(PROMPT) {
                let n = monitor.read(&mut octets).unwrap();
                assert!(n > 0, "the monitor ended: {said}");
                said.push_str(&String::from_utf8_lossy(&octets[..n]));
            }
            monitor.try_clone().unwrap()
        };
        let mut writer = until_prompt(&mut String::new());
        writer.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut said = String::new();
        until_prompt(&mut said);
        said
    }

    /// Takes the power away, in the middle of whatever it does.
    pub fn cut_power(&mut self) {
        if let Some(mut powered) = self.powered.take() {
            let _ = powered.qemu.kill();
            let _ = powered.qemu.wait();
        }
    }

    /// It restarts. QEMU's board cannot reset itself: where a real one does, the power is cut and comes back.
    pub fn starts_anew(&mut self) {
        self.expect("restarting");
        // It unmounts before it restarts; what is on the card then is what counts.
        self.expect("reboot: ");
        self.cut_power();
        self.power_on();
    }

    fn powered(&mut self) -> &mut Powered {
        self.powered.as_mut().expect("it is off")
    }

    /// Waits until the console shows `text`, behind what was looked at before; gives all up to there.
    pub fn expect(&mut self, text: &str) -> String {
        self.expect_any(&[text])
    }

    /// As [`Device::expect`], for whichever of `texts` comes first.
    fn expect_any(&mut self, texts: &[&str]) -> String {
        let powered = self.powered();
        let end = wait_up_to(LONG, &format!("{texts:?} on the console"), || {
            if let Some(status) = powered.qemu.try_wait().unwrap() {
                panic!("the board is off: {status}");
            }
            std::thread::sleep(Duration::from_millis(100));
            let shown = powered.shown.lock().unwrap();
            let end = |text: &&str| Some(powered.seen + shown[powered.seen..].find(text)? + text.len());
            texts.iter().filter_map(end).min()
        });
        let shown = powered.shown.lock().unwrap();
        let seen = std::mem::replace(&mut powered.seen, end);
        shown[seen..end].to_owned()
    }

    /// Types a line on the serial console.
    pub fn enter(&mut self, line: &str) {
        for key in line.chars().chain(['\r']) {
            self.press(key);
        }
    }

    /// Presses a key.
    pub fn press(&mut self, key: char) {
        self.powered().keys.write_all(key.to_string().as_bytes()).unwrap();
        // A serial line has no flow control, and a person types no faster.
        std::thread::sleep(Duration::from_millis(20));
    }

    /// Types a command on the operator's console; gives what it says.
    pub fn command(&mut self, command: &str) -> String {
        self.enter(command);
        self.prompt()
    }

    /// Waits until the operator's console takes a command; gives what it said before. A device without an operator's
    /// password asks for a new one first, which is put off, and one with a password asks for that.
    pub fn prompt(&mut self) -> String {
        let mut said = String::new();
        loop {
            said += &self.expect_any(&[PROMPTS[0], PROMPTS[1], NEW_PASSWORD, OPERATOR]);
            match &said {
                said if said.ends_with(NEW_PASSWORD) => self.enter(""),
                said if said.ends_with(OPERATOR) => self.enter("open sesame"),
                _ => return said,
            }
        }
    }

    /// Gives a new password, which the console asks for twice.
    pub fn password(&mut self, of: &str, password: &str) {
        self.enter(&format!("password {of}"));
        self.expect("new password: ");
        self.enter(password);
        self.expect("once more: ");
        self.command(password);
    }

    /// Waits until it serves; says how long it took from power on.
    pub fn ready(&mut self) -> Duration {
        self.expect("ready: ");
        let took = self.powered().since.elapsed();
        self.prompt();
        took
    }

    /// The certificate that a device at home imports; it comes as soon as DHCP has brought the network up.
    pub fn ca(&self) -> PathBuf {
        let url = format!("http://127.0.0.1:{}/ca.pem", self.ports.http.number);
        let pem = wait_up_to(LONG, "the board's certificate over HTTP", || {
            // QEMU takes a connection whether or not the board does.
            let got = run(Command::new("curl").args(["-sf", "--max-time", "10", &url]), PATIENCE);
            std::thread::sleep(Duration::from_millis(500));
            (got.code == Some(0)).then(|| got.text())
        });
        self.scratch.write("ca.pem", pem)
    }

    /// A session of `demo`, as soon as the board lets it in.
    pub fn imap(&self, ca: &Path) -> Imap {
        wait_up_to(LONG, "the account of `demo`", || {
            let mut imap = Imap::new(Connection::try_open(self.imaps()).ok()?.start_tls(ca));
            imap.try_login("demo", "open sesame").status.starts_with("OK").then_some(imap)
        })
    }

    pub fn imaps(&self) -> SocketAddr {
        self.ports.imaps.address()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.cut_power();
    }
}
