//! A flash whose syncs take as long as they are told, as those of a busy SD card do, and the appliance on it: its own
//! code on a thread of this process, with real sockets and real files.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use async_io::Timer;
use event_listener::Event;
use pillarbox::appliance::{Appliance, RunOptions};
use pillarbox::flash::Sync;
use pillarbox::flash::disk::Disk;
use pillarbox::operator::Appliance as _;
use smol::LocalExecutor;
use smol::channel::{Sender, bounded};

use super::Scratch;
use super::over::{Over, Special};

/// The card, in the hands of the test.
#[derive(Clone, Default)]
pub struct Card(Arc<(Mutex<State>, Event)>);

#[derive(Default)]
struct State {
    takes: Duration,
    /// Syncs that may still end; `None`: all of them.
    may_end: Option<u64>,
    begun: u64,
    ended: u64,
    writes: u64,
}

impl Card {
    /// From now on each sync takes so long.
    pub fn stall(&self, takes: Duration) {
        self.change(|state| state.takes = takes);
    }
    /// From now on only so many syncs end, until there is another word.
    pub fn let_end(&self, syncs: u64) {
        self.change(|state| state.may_end = Some(syncs));
    }
    /// All syncs end.
    pub fn let_all_end(&self) {
        self.change(|state| state.may_end = None);
    }
    /// Syncs that have begun and not ended.
    pub fn pending(&self) -> u64 {
        self.change(|state| state.begun - state.ended)
    }
    /// Syncs that have ended.
    pub fn ended(&self) -> u64 {
        self.change(|state| state.ended)
    }
    /// Writes so far.
    pub fn writes(&self) -> u64 {
        self.change(|state| state.writes)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify(usize::MAX);
        result
    }

    fn may_end(&self) -> bool {
        let mut state = self.0.0.lock().unwrap();
        match &mut state.may_end {
            Some(0) => return false,
            Some(left) => *left -= 1,
            None => {}
        }
        state.ended += 1;
        true
    }

    fn stalled(&self, sync: Sync) -> Sync {
        let card = self.clone();
        Box::pin(async move {
            let takes = card.change(|state| {
                state.begun += 1;
                state.takes
            });
            Timer::after(takes).await;
            loop {
                let changed = card.0.1.listen();
                if card.may_end() {
                    return sync.await;
                }
                changed.await;
            }
        })
    }
}

impl Special for Card {
    fn may_write(&self) -> io::Result<()> {
        self.change(|state| state.writes += 1);
        Ok(())
    }
    fn sync(&self, below: Sync) -> Sync {
        self.stalled(below)
    }
}

/// The appliance on the card; ends when dropped.
pub struct OnCard {
    pub card: Card,
    listeners: BTreeMap<&'static str, SocketAddr>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _scratch: Scratch,
}

impl OnCard {
    /// Starts with `config`, a TOML text without `[listen]`; the syncs take no time yet.
    pub fn start(config: &str) -> OnCard {
        let (scratch, card) = (Scratch::new("card"), Card::default());
        let any = "[\"127.0.0.1:0\"]";
        let listen = format!(
            "[listen]\npop3 = {any}\npop3s = []\nimap = {any}\nimaps = []\nsubmission = {any}\nsubmissions = []\n\
             lan_smtp = []\nhttp = []\nhttps = []\n"
        );
        let options = RunOptions {
            data: scratch.join("data"),
            config: Some(scratch.write("config.toml", listen + config)),
            ..RunOptions::default()
        };
        let ((stop, stopped), (ready, started)) = (bounded(1), mpsc::channel());
        let thread = std::thread::spawn({
            let card = card.clone();
            move || {
                let executor: &'static LocalExecutor = Box::leak(Box::new(LocalExecutor::new()));
                let flash = Rc::new(Over::with(Disk::new(&options.data).unwrap(), Rc::new(card)));
                let appliance = async {
                    let appliance = Appliance::start(executor, &options, flash).await.unwrap();
                    ready.send(appliance.listeners()).unwrap();
                    let _ = stopped.recv().await;
                };
                async_io::block_on(executor.run(appliance));
            }
        });
        let listeners = started.recv().expect("an appliance").into_iter().collect();
        OnCard { card, listeners, stop: Some(stop), thread: Some(thread), _scratch: scratch }
    }
    /// Where `service` listens.
    pub fn address(&self, service: &str) -> SocketAddr {
        self.listeners[service]
    }
}

impl Drop for OnCard {
    fn drop(&mut self) {
        self.card.let_all_end();
        self.stop = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
