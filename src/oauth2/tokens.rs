//! Access tokens for all who log in elsewhere: each is asked for once, whoever needs it.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use event_listener::Event;
use ring::digest::{SHA256, digest};
use smol::LocalExecutor;
use smol::channel::{Receiver, Sender, bounded, unbounded};
use smol::lock::Mutex;

use super::form::Form;
use super::response::{self, Granted};
use super::{Code, Device, Error, ask};
use crate::config::{Config, Endpoint, Holder, OAuth2, Secret};
use crate::context::Context;
use crate::pace;
use crate::sasl::client::AccessToken;

/// So long before its end a token is renewed.
const EARLY: Duration = Duration::from_secs(60);

/// A refresh token.
type Refresh = Secret<4096>;

/// Keeps the settings.
pub trait Keeper {
    /// Makes `change` of the settings in force durable, and then puts it in force, so that it takes no earlier settings away and
    /// ends nothing. The error says in one line what forbids it.
    fn keep<'a>(
        &'a self,
        change: &'a dyn Fn(&mut Config),
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;
}

/// One permission: whatever refresh token it had and has.
struct Grant {
    /// Held while it is renewed.
    turn: Mutex<()>,
    refresh: RefCell<Refresh>,
    /// The one that the settings still have, where this one could not be stored so far.
    stored: RefCell<Option<Refresh>>,
    access: RefCell<Option<Access>>,
    /// The provider's words, where it has ended.
    ended: RefCell<Option<String>>,
}

struct Access {
    token: AccessToken,
    ends: Instant,
}

impl Grant {
    fn new(refresh: &Refresh) -> Grant {
        Grant {
            turn: Mutex::new(()),
            refresh: RefCell::new(refresh.clone()),
            stored: RefCell::default(),
            access: RefCell::default(),
            ended: RefCell::default(),
        }
    }

    /// The access token, where it is good for a while.
    fn access(&self, now: Instant) -> Option<AccessToken> {
        let access = self.access.borrow();
        access.as_ref().filter(|access| now + EARLY < access.ends).map(|access| access.token.clone())
    }

    fn take(&self, granted: &Granted, now: Instant) {
        let access = Access { token: granted.access.clone(), ends: now + granted.lasts };
        *self.access.borrow_mut() = Some(access);
    }
}

/// Names a refresh token without holding it.
type Name = [u8; 32];

fn name(client: &OAuth2, refresh: &Refresh) -> Name {
    let parts = [client.token_endpoint(), &client.client_id, refresh.reveal()];
    let mut context = ring::digest::Context::new(&SHA256);
    for part in parts {
        context.update(digest(&SHA256, part.as_bytes()).as_ref());
    }
    let mut name = Name::default();
    name.copy_from_slice(context.finish().as_ref());
    name
}

/// Somebody needs a token.
struct Job {
    grant: Rc<Grant>,
    client: OAuth2,
    ca: String,
    answer: Sender<Result<AccessToken, Error>>,
}

/// How a permission is asked for.
pub enum Asking {
    /// With a short code: see [`Tokens::wait`].
    Device(Device),
    /// With an address that is pasted: see [`Tokens::redeem`].
    Code(Code),
}

/// The access tokens of all sources and of the smarthost.
pub struct Tokens {
    context: Rc<Context>,
    /// By each refresh token that a permission has had since the start, as far as the settings still know the permission.
    grants: RefCell<BTreeMap<Name, Rc<Grant>>>,
    keeper: OnceCell<Rc<dyn Keeper>>,
    jobs: (Sender<Job>, Receiver<Job>),
    /// Renewals that are wanted or under way.
    renewing: Cell<usize>,
    rests: Event,
}

impl Tokens {
    /// Asks nobody yet.
    pub fn new(context: Rc<Context>) -> Rc<Tokens> {
        Rc::new(Tokens {
            context,
            grants: RefCell::default(),
            keeper: OnceCell::new(),
            jobs: unbounded(),
            renewing: Cell::new(0),
            rests: Event::new(),
        })
    }

    /// Who keeps the settings, told once at the start.
    pub fn keep_with(&self, keeper: Rc<dyn Keeper>) {
        self.keeper.get_or_init(|| keeper);
    }

    /// Renews tokens until dropped. The work is done here, not where the token is needed: a poll may be dropped at any moment,
    /// and what a provider has just sent must not be.
    pub async fn run(&self) {
        let tasks = LocalExecutor::new();
        pace::run(&tasks, async {
            while let Ok(job) = self.jobs.1.recv().await {
                tasks
                    .spawn(async move {
                        let _in_turn = job.grant.turn.lock().await;
                        let token = Box::pin(self.renewed(&job)).await;
                        // Whoever asked may have gone.
                        let _ = job.answer.try_send(token);
                        self.renewing.set(self.renewing.get().saturating_sub(1));
                        self.rests.notify(usize::MAX);
                    })
                    .detach();
            }
        })
        .await
    }

    /// Waits until no token is being renewed.
    pub async fn rested(&self) {
        loop {
            let rests = self.rests.listen();
            if self.renewing.get() == 0 {
                return;
            }
            rests.await;
        }
    }

    /// A token that is good for a minute at the least, asked for at the server where there is none. `ca` is a PEM file of extra
    /// trust for that server, empty for none.
    ///
    /// # Errors
    /// There is none to be had, or not now.
    pub async fn access(&self, client: &OAuth2, ca: &str) -> Result<AccessToken, Error> {
        let grant = self.granted(client)?;
        let is_stored = grant.stored.borrow().is_none();
        if let Some(token) = grant.access(self.context.time.now()).filter(|_| is_stored) {
            return Ok(token);
        }
        let (answer, answered) = bounded(1);
        let job = Job { grant, client: client.clone(), ca: ca.to_owned(), answer };
        // It is unbounded and never closed.
        let _ = self.jobs.0.try_send(job);
        self.renewing.set(self.renewing.get() + 1);
        answered.recv().await.unwrap_or(Err(Error::Settings("the appliance stops")))
    }

    /// A server has refused `token`, or it has ended: it is given to nobody else.
    pub fn forget(&self, client: &OAuth2, token: &AccessToken) {
        if let Ok(grant) = self.granted(client) {
            grant.access.borrow_mut().take_if(|access| access.token == *token);
        }
    }

    /// Whether `token` is still the one to log in with.
    pub fn is_good(&self, client: &OAuth2, token: &AccessToken) -> bool {
        let now = self.context.time.now();
        self.granted(client).is_ok_and(|grant| grant.access(now).as_ref() == Some(token))
    }

    /// The permission that `client` has, whichever of its refresh tokens it knows.
    fn granted(&self, client: &OAuth2) -> Result<Rc<Grant>, Error> {
        if client.refresh_token.is_empty() {
            return Err(Error::None);
        }
        let new = || Rc::new(Grant::new(&client.refresh_token));
        let name = name(client, &client.refresh_token);
        Ok(self.grants.borrow_mut().entry(name).or_insert_with(new).clone())
    }

    async fn renewed(&self, job: &Job) -> Result<AccessToken, Error> {
        let Job { grant, client, ca, .. } = job;
        let stored = self.store(grant, client).await;
        // Somebody else may have asked for it meanwhile. It is good, whatever becomes of the refresh token.
        if let Some(token) = grant.access(self.context.time.now()) {
            return Ok(token);
        }
        // A provider may still take the one that is stored, as long as nobody has used its successor.
        stored?;
        if let Some(words) = &*grant.ended.borrow() {
            return Err(Error::Ended(words.clone()));
        }
        let url = client.token_endpoint();
        self.wait_for_no_clock(url)?;
        // What the provider may send in return could not be kept.
        if let Some(why) = self.context.store.read_only() {
            return Err(Error::Store(why));
        }
        let refresh = grant.refresh.borrow().clone();
        // RFC 6749 section 6. Without a scope it is the one of the permission.
        let form = Form::new()
            .with("grant_type", "refresh_token")
            .with("refresh_token", refresh.reveal())
            .with("client_id", &client.client_id)
            .with("client_secret", client.client_secret.reveal());
        let (status, content) = ask::post(url, &form, ca, &self.context.time).await?;
        let asked = self.context.time.now();
        let granted = match response::tokens(status, &content).map_err(Error::from) {
            Ok(granted) => granted,
            Err(error) => {
                if let Error::Ended(words) = &error {
                    *grant.ended.borrow_mut() = Some(words.clone());
                }
                return Err(error);
            }
        };
        grant.take(&granted, asked);
        if let Some(new) = granted.refresh.as_ref().filter(|new| **new != refresh) {
            // The provider has replaced it: even if it cannot be stored the new one is the one that counts from now on.
            *grant.refresh.borrow_mut() = new.clone();
            *grant.stored.borrow_mut() = Some(refresh);
            self.grants.borrow_mut().insert(name(client, new), grant.clone());
            if let Err(error) = self.store(grant, client).await {
                log::error!(
                    "oauth2: {error}. It is tried again; a restart before that may need a new permission"
                );
            }
        }
        Ok(granted.access)
    }

    /// A refresh token that has replaced another one goes to whoever has that, durably, before it is used. Where that fails the
    /// next one who needs a token tries it again.
    async fn store(&self, grant: &Grant, client: &OAuth2) -> Result<(), Error> {
        let Some(old) = grant.stored.borrow().clone() else { return Ok(()) };
        let new = grant.refresh.borrow().clone();
        self.keep(&|config| {
            let same = config.clients_mut().filter(|(_, other)| other.is_same_client(client));
            same.filter(|(_, other)| other.refresh_token == old)
                .for_each(|(_, other)| other.refresh_token = new.clone());
        })
        .await?;
        *grant.stored.borrow_mut() = None;
        Ok(())
    }

    async fn keep(&self, change: &dyn Fn(&mut Config)) -> Result<(), Error> {
        match self.keeper.get() {
            Some(keeper) => keeper.keep(change).await.map_err(Error::Store),
            None => Err(Error::Store("nobody keeps the settings".to_owned())),
        }
    }

    /// Gives settings that were made from earlier ones the refresh tokens that have taken the place of theirs since; whether
    /// there were any. What the settings know no longer is forgotten.
    pub fn succeed(&self, config: &mut Config) -> bool {
        let mut grants = self.grants.borrow_mut();
        let (mut changed, mut known) = (false, Vec::new());
        for (_, client) in config.clients_mut() {
            let Some(grant) = grants.get(&name(client, &client.refresh_token)) else { continue };
            let current = grant.refresh.borrow();
            changed |= client.refresh_token != *current;
            client.refresh_token = current.clone();
            known.push(grant.clone());
        }
        grants.retain(|_, grant| known.iter().any(|known| Rc::ptr_eq(known, grant)));
        changed
    }

    fn wait_for_no_clock(&self, url: &str) -> Result<(), Error> {
        let tls = Endpoint::parse(url).is_none_or(|endpoint| endpoint.tls);
        if tls && !self.context.clock.is_known() { Err(Error::Clock) } else { Ok(()) }
    }

    /// Begins to ask for a permission for `holder`: with a code where the provider has that, or else with an address.
    ///
    /// # Errors
    /// It is no client, or the provider gives no code.
    pub async fn ask(&self, holder: Holder) -> Result<Asking, Error> {
        let config = self.context.config();
        let held = config.held(holder).ok_or(Error::Settings("it has no oauth2"))?;
        let (client, scope) = (held.client, held.client.scope_for(held.purpose));
        if client.client_id.is_empty() {
            return Err(Error::Settings("its client_id is missing"));
        }
        let url = client.device_endpoint();
        if url.is_empty() {
            return Code::begin(client, scope, held.username).map(Asking::Code);
        }
        self.wait_for_no_clock(url)?;
        let form = Device::begin(client, scope);
        let (status, content) = ask::post(url, &form, held.ca, &self.context.time).await?;
        Device::new(status, &content).map(Asking::Device)
    }

    /// Waits until the user has typed the code, and takes the permission.
    ///
    /// # Errors
    /// There is none.
    pub async fn wait(&self, holder: Holder, mut device: Device) -> Result<(), Error> {
        let (time, begun) = (&self.context.time, self.context.time.now());
        loop {
            time.sleep(device.pause()).await;
            if time.since(begun) > device.lasts() {
                return Err(Error::Late);
            }
            if self.look(holder, &mut device).await? {
                return Ok(());
            }
        }
    }

    /// Looks once whether the user has typed the code, and takes the permission then: whether there is one. Before the next look
    /// comes the device's pause.
    ///
    /// # Errors
    /// There will be none.
    pub async fn look(&self, holder: Holder, device: &mut Device) -> Result<bool, Error> {
        let config = self.context.config();
        let held = config.held(holder).ok_or(CHANGED)?;
        let form = device.ask(held.client);
        match ask::post(held.client.token_endpoint(), &form, held.ca, &self.context.time).await {
            Ok((status, content)) => match device.hear(status, &content)? {
                Some(granted) => self.take(holder, held.client, granted).await.map(|()| true),
                None => Ok(false),
            },
            // RFC 8628 section 3.5: no answer is no reason to give up.
            Err(Error::Server { .. }) => {
                device.slow_down();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the permission that the address at which the browser ended stands for.
    ///
    /// # Errors
    /// There is none.
    pub async fn redeem(&self, holder: Holder, code: &Code, pasted: &str) -> Result<(), Error> {
        let config = self.context.config();
        let held = config.held(holder).ok_or(CHANGED)?;
        let form = code.ask(held.client, &code.code(pasted)?);
        let url = held.client.token_endpoint();
        self.wait_for_no_clock(url)?;
        let (status, content) = ask::post(url, &form, held.ca, &self.context.time).await?;
        let granted = response::tokens(status, &content).map_err(Error::from)?;
        self.take(holder, held.client, granted).await
    }

    /// A new permission: all that it is good for get it.
    async fn take(&self, holder: Holder, client: &OAuth2, granted: Granted) -> Result<(), Error> {
        let new = granted.refresh.as_ref().ok_or(Error::Refused(
            "it gives no refresh token; the scope may have to name offline access".to_owned(),
        ))?;
        let grant = Rc::new(Grant::new(new));
        grant.take(&granted, self.context.time.now());
        let config = self.context.config();
        {
            // Whoever still has an old one, such as an edit that is under way, gets the new one.
            let like = config.holders_like(holder);
            let old = like.iter().filter_map(|holder| config.held(*holder));
            let old = old.map(|held| &held.client.refresh_token).filter(|old| !old.is_empty());
            let mut grants = self.grants.borrow_mut();
            for refresh in old.chain([new]) {
                grants.insert(name(client, refresh), grant.clone());
            }
        }
        self.keep(&|config| {
            let like = config.holders_like(holder);
            let same = config.clients_mut().filter(|(_, other)| other.is_same_client(client));
            same.filter(|(other, _)| like.contains(other))
                .for_each(|(_, other)| other.refresh_token = new.clone());
        })
        .await
    }
}

const CHANGED: Error = Error::Settings("its settings were changed meanwhile");
