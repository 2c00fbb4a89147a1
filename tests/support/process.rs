//! Programs: run to their end with a time limit, or kept running beside the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// `None`: by a signal, or killed because the time was over.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    /// Its standard output; the test fails unless the program ended with 0.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.text(), self.stderr);
        self.text()
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Runs `command` to its end, or kills it after `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Outcome {
    run_with_input(command, b"", limit)
}

/// As [`run`], with something on standard input.
pub fn run_with_input(command: &mut Command, input: &[u8], limit: Duration) -> Outcome {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    spawn(move || std::io::Write::write_all(&mut stdin, &input));
    let stdout = drain(child.stdout.take().unwrap());
    let stderr = drain(child.stderr.take().unwrap());
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Outcome {
        code: status.code(),
        stdout: stdout.join().unwrap(),
        stderr: String::from_utf8_lossy(&stderr.join().unwrap()).into_owned(),
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.read_to_end(&mut all);
        all
    })
}

/// The lines that a running program has printed so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Collects the lines of `pipe` until it closes.
    pub fn follow(&self, pipe: impl Read + Send + 'static) {
        let lines = self.0.clone();
        spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                lines.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
    pub fn find(&self, part: &str) -> Option<String> {
        self.0.lock().unwrap().iter().find(|line| line.contains(part)).cloned()
    }
}

/// A command that runs with root's rights: directly as root, else through sudo.
pub fn as_root(program: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let allowed = Command::new("sudo").args(["-n", "true"]).stderr(Stdio::null()).status();
    assert!(
        allowed.is_ok_and(|status| status.success()),
        "real servers have to be started with root's rights: run the tests as root, or allow sudo without a password"
    );
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

/// A server that runs with root's rights in a folder of its own until the value is dropped. A shell beside it watches
/// a pipe from here, so that server and folder also go away when the test itself is killed.
pub struct Peer {
    guard: Child,
    pipe: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// `program` must stay in the foreground and end on SIGTERM; `folder` is removed afterwards.
    pub fn spawn(program: &str, args: &[&str], folder: &Path) -> Peer {
        const WATCH: &str = r#"folder=$1; shift
            up() { "$@" >>"$folder/output" 2>&1 </dev/null & pid=$!; }
            down() { kill -TERM $pid; wait $pid; }
            # What the one before has left holds its port or its lock for a moment.
            again() {
                for _ in 1 2 3 4 5 6 7 8 9 10; do
                    up "$@"; sleep 1
                    grep -q '^State:[[:space:]]*[^Z[:space:]]' /proc/$pid/status && return
                    wait $pid
                done
            }
            up "$@"
            while read -r word; do
                case $word in up) again "$@" ;; down) down ;; esac
                echo done
            done
            down; rm -rf "$folder""#;
        let mut guard = as_root("/bin/sh")
            .args(["-c", WATCH, "watch"])
            .arg(folder)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Control-C goes to the test; the guard has to outlive it for a moment.
            .process_group(0)
            .spawn()
            .unwrap();
        let pipe = guard.stdin.take();
        let answers = BufReader::new(guard.stdout.take().unwrap());
        Peer { guard, pipe, answers }
    }

    /// Ends the server; the folder stays.
    pub fn down(&mut self) {
        self.tell("down");
    }

    /// Starts it again as it was.
    pub fn up(&mut self) {
        self.tell("up");
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.pipe.as_mut().unwrap(), "{word}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{word}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = self.guard.wait();
    }
}
