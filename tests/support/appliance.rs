//! The appliance under test: the real binary with a data folder and ports of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::process::{Log, Outcome, run};
use super::{PATIENCE, Port, Scratch, wait_for};

/// The binary under test: the one that cargo built for this run, unless `PILLARBOX` names another.
pub fn binary() -> String {
    std::env::var("PILLARBOX").unwrap_or(env!("CARGO_BIN_EXE_pillarbox").to_owned())
}

/// Runs the binary to its end: `pillarbox ARGS`.
pub fn pillarbox(args: &[&str]) -> Outcome {
    run(Command::new(binary()).args(args), PATIENCE)
}

/// Ports of one appliance.
pub struct Ports {
    pub pop3: Port,
    pub pop3s: Port,
    pub imap: Port,
    pub imaps: Port,
    pub submission: Port,
    pub submissions: Port,
    pub lan_smtp: Port,
}

impl Ports {
    pub fn reserve() -> Ports {
        Ports {
            pop3: Port::reserve(),
            pop3s: Port::reserve(),
            imap: Port::reserve(),
            imaps: Port::reserve(),
            submission: Port::reserve(),
            submissions: Port::reserve(),
            lan_smtp: Port::reserve(),
        }
    }
    /// Service and address, in the order of the configuration.
    pub fn all(&self) -> [(&'static str, SocketAddr); 7] {
        [
            ("pop3", self.pop3.address()),
            ("pop3s", self.pop3s.address()),
            ("imap", self.imap.address()),
            ("imaps", self.imaps.address()),
            ("submission", self.submission.address()),
            ("submissions", self.submissions.address()),
            ("lan_smtp", self.lan_smtp.address()),
        ]
    }
    /// The `[listen]` table.
    pub fn listen(&self) -> String {
        let lines = self.all().map(|(service, address)| format!("{service} = [\"{address}\"]\n"));
        format!("[listen]\n{}http = []\nhttps = []\n", lines.concat())
    }
}

/// A running (or stopped) appliance; ends and leaves nothing when dropped.
pub struct Appliance {
    pub ports: Ports,
    pub scratch: Scratch,
    pub log: Log,
    data: PathBuf,
    child: Option<Child>,
    extra: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Appliance {
    /// Starts with `config`, a TOML text without `[listen]`, and waits until it is ready.
    pub fn start(config: &str) -> Appliance {
        Appliance::start_with(config, &[])
    }

    /// As [`Appliance::start`], with more arguments for `run`, which count for later starts too.
    pub fn start_with(config: &str, extra: &[&str]) -> Appliance {
        Appliance::start_in(config, extra, &[])
    }

    /// As [`Appliance::start_with`], with variables in its environment, which count for later starts too.
    pub fn start_in(config: &str, extra: &[&str], environment: &[(&'static str, PathBuf)]) -> Appliance {
        let mut appliance = Appliance::prepare();
        appliance.begin_in(config, extra, environment);
        appliance
    }

    /// As [`Appliance::start_in`], of one that was prepared.
    pub fn begin_in(&mut self, config: &str, extra: &[&str], environment: &[(&'static str, PathBuf)]) {
        self.extra = extra.iter().map(ToString::to_string).collect();
        self.environment = environment.to_vec();
        self.begin(config);
    }

    /// As [`Appliance::start`], with a data folder elsewhere.
    pub fn start_on(data: &Path, config: &str) -> Appliance {
        let mut appliance = Appliance::prepare();
        appliance.data = data.to_owned();
        appliance.begin(config);
        appliance
    }

    fn begin(&mut self, config: &str) {
        let file = self.scratch.write("config.toml", self.text(config));
        self.launch(&["--config".as_ref(), file.as_path()]);
    }

    /// Ports and folders, but nothing started yet.
    pub fn prepare() -> Appliance {
        let scratch = Scratch::new("appliance");
        Appliance {
            ports: Ports::reserve(),
            data: scratch.join("data"),
            scratch,
            log: Log::default(),
            child: None,
            extra: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// `config` with this appliance's `[listen]`.
    pub fn text(&self, config: &str) -> String {
        format!("{}{config}", self.ports.listen())
    }

    /// The two sides of mbsync's configuration: anna's mail here by STARTTLS, and a Maildir in `folder`.
    pub fn mbsync_stores(&self, folder: &Path) -> String {
        format!(
            "IMAPStore far\nHost localhost\nPort {}\nUser anna\nPass \"anna's own\"\nSSLType STARTTLS\n\
             CertificateFile {}\nSystemCertificates no\n\nMaildirStore near\nPath {dir}/\nInbox {dir}/INBOX\n\n",
            self.ports.imap.number,
            self.ca().display(),
            dir = folder.display(),
        )
    }

    fn launch(&mut self, args: &[&Path]) {
        // Dies with the thread that runs the test, whatever happens to it.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", &binary(), "run", "--data"])
            .arg(self.data())
            .args(args)
            .args(&self.extra)
            .envs(self.environment.iter().cloned())
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or("info".into()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        self.log = Log::default();
        self.log.follow(child.stdout.take().unwrap());
        self.log.follow(child.stderr.take().unwrap());
        let log = self.log.clone();
        wait_for("the line `ready:`", || {
            if let Some(status) = child.try_wait().unwrap() {
                std::thread::sleep(Duration::from_millis(50));
                panic!("the appliance ended with {status}:\n{}", log.lines().join("\n"));
            }
            log.find("ready:")
        });
        self.child = Some(child);
    }

    /// Starts again with the stored configuration.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "still running");
        self.launch(&[]);
    }

    /// The same with more arguments for `run`, which count for later starts too.
    pub fn restart_with(&mut self, extra: &[&str]) {
        self.extra = extra.iter().map(ToString::to_string).collect();
        self.restart();
    }

    /// Starts again with the configuration that is stored in another data folder.
    pub fn restart_on(&mut self, data: &Path) {
        self.data = data.to_owned();
        self.restart();
    }

    /// SIGKILL, as a power cut would end it, and waits for the end.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("not running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM: it ends by itself, with exit code 0.
    pub fn stop(&mut self) {
        self.terminate();
        assert_eq!(self.end(), Some(0), "{}", self.log.lines().join("\n"));
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(self.child.as_ref().expect("not running")), Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself: its exit code.
    pub fn end(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("not running");
        wait_for("the end", || child.try_wait().unwrap()).code()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("not running").id()
    }
    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }
    /// The certificate that clients are to trust.
    pub fn ca(&self) -> PathBuf {
        self.data().join("tls/ca.pem")
    }
    /// Runs a verb of the binary on this data folder: `pillarbox VERB --data DIR ARGS`.
    pub fn verb(&self, verb: &str, args: &[&str]) -> Outcome {
        run(Command::new(binary()).arg(verb).arg("--data").arg(self.data()).args(args), PATIENCE)
    }
    /// One command on the operator's console; the test fails when the console does.
    #[track_caller]
    pub fn console(&self, command: &str) -> String {
        self.verb("console", &["-c", command]).success()
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let lines = self.log.lines();
            let last = lines.len().saturating_sub(40);
            eprintln!("the appliance's last words:\n{}", lines[last..].join("\n"));
        }
    }
}
