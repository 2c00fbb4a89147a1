//! Access tokens for all logins elsewhere: each is requested once, however many tasks need it.

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

/// How long before its end a token is renewed.
const EARLY: Duration = Duration::from_secs(60);

/// A refresh token.
type Refresh = Secret<4096>;

/// Stores the settings.
pub trait Keeper {
    /// Makes `change` of the settings in force durable, and then puts it in force. It does not count as a version of
    /// the settings, and ends no session. The error is one line that tells why it is not possible.
    fn keep<'a>(
        &'a self,
        change: &'a dyn Fn(&mut Config),
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;
}

/// One permission, with all refresh tokens that it had and has.
struct Grant {
    /// HolderSettings while the token is renewed.
    turn: Mutex<()>,
    refresh: RefCell<Refresh>,
    /// The refresh token in the settings, if the present one could not be stored so far.
    stored: RefCell<Option<Refresh>>,
    access: RefCell<Option<Access>>,
    /// The provider's words, if the permission has ended.
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

    /// The access token, if it is valid for [`EARLY`] at least.
    fn access(&self, now: Instant) -> Option<AccessToken> {
        let access = self.access.borrow();
        access.as_ref().filter(|access| now + EARLY < access.ends).map(|access| access.token.clone())
    }

    fn take(&self, granted: &Granted, now: Instant) {
        let access = Access { token: granted.access.clone(), ends: now + granted.lasts };
        *self.access.borrow_mut() = Some(access);
    }
}

/// A hash that names a refresh token without holding it.
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

/// A request for an access token.
struct Job {
    grant: Rc<Grant>,
    client: OAuth2,
    ca: String,
    answer: Sender<Result<AccessToken, Error>>,
}

/// The way in which a permission is asked for.
pub enum Asking {
    /// With a short code, see [`Tokens::wait`].
    Device(Device),
    /// With an address that is pasted, see [`Tokens::redeem`].
    Code(Code),
}

/// The access tokens of all sources and of the smarthost.
pub struct Tokens {
    context: Rc<Context>,
    /// The permissions by each refresh token that they have had since the start, as long as the settings hold the
    /// permission.
    grants: RefCell<BTreeMap<Name, Rc<Grant>>>,
    keeper: OnceCell<Rc<dyn Keeper>>,
    jobs: (Sender<Job>, Receiver<Job>),
    /// Renewals that are requested or under way.
    renewing: Cell<usize>,
    rests: Event,
}

impl Tokens {
    /// Tokens for the settings of `context`; no server is asked yet.
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

    /// Sets the keeper of the settings, once at the start.
    pub fn keep_with(&self, keeper: Rc<dyn Keeper>) {
        self.keeper.get_or_init(|| keeper);
    }

    /// Renews tokens until dropped. The work is done here and not where the token is needed: a poll may be dropped at
    /// any moment, but what a provider has just sent must not get lost.
    pub async fn run(&self) {
        let tasks = LocalExecutor::new();
        pace::run(&tasks, async {
            while let Ok(job) = self.jobs.1.recv().await {
                tasks
                    .spawn(async move {
                        let _in_turn = job.grant.turn.lock().await;
                        let token = Box::pin(self.renewed(&job)).await;
                        // The task that asked may be gone.
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

    /// An access token that is valid for at least a minute; it is requested from the server if there is none. `ca` is
    /// the path of a PEM file with further trusted certificates for that server, empty for none.
    ///
    /// # Errors
    /// There is no token, or none at the moment.
    pub async fn access(&self, client: &OAuth2, ca: &str) -> Result<AccessToken, Error> {
        let grant = self.granted(client)?;
        let is_stored = grant.stored.borrow().is_none();
        if let Some(token) = grant.access(self.context.time.now()).filter(|_| is_stored) {
            return Ok(token);
        }
        let (answer, answered) = bounded(1);
        let job = Job { grant, client: client.clone(), ca: ca.to_owned(), answer };
        // The channel is unbounded and never closed.
        let _ = self.jobs.0.try_send(job);
        self.renewing.set(self.renewing.get() + 1);
        answered.recv().await.unwrap_or(Err(Error::Settings("the appliance stops")))
    }

    /// Gives `token` to nobody else: a server has refused it, or it has ended.
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

    /// The permission of `client`, whichever of its refresh tokens the client holds.
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
        // Another task may have requested it meanwhile. It is valid, whatever becomes of the refresh token.
        if let Some(token) = grant.access(self.context.time.now()) {
            return Ok(token);
        }
        // The provider may still accept the stored refresh token as long as its successor was not used.
        stored?;
        if let Some(words) = &*grant.ended.borrow() {
            return Err(Error::Ended(words.clone()));
        }
        let url = client.token_endpoint();
        self.wait_for_no_clock(url)?;
        // A refresh token that the provider may send in return could not be stored.
        if let Some(why) = self.context.store.read_only() {
            return Err(Error::Store(why));
        }
        let refresh = grant.refresh.borrow().clone();
        // RFC 6749 section 6. Without a scope it is that of the permission.
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
            // The provider has replaced it: from now on the new one counts, even if it cannot be stored.
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

    /// Stores a refresh token that has replaced another one with all clients that hold the old one, durably and
    /// before it is used. If that fails, the next request for a token tries it again.
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

    /// Gives settings that were made from earlier ones the current refresh tokens. Returns whether any was changed.
    /// Permissions that the settings no longer hold are forgotten.
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

    /// Begins to ask for a permission for `holder`: with a code if the provider supports that, otherwise with an
    /// address.
    ///
    /// # Errors
    /// `holder` has no client, or the provider gives no code.
    pub async fn ask(&self, holder: Holder) -> Result<Asking, Error> {
        let config = self.context.config();
        let held = config.settings_of(holder).ok_or(Error::Settings("it has no oauth2"))?;
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
    /// There is no permission.
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

    /// Asks once whether the user has typed the code, and if so takes the permission. Returns whether there is one.
    /// The caller must wait for the device's pause before the next call.
    ///
    /// # Errors
    /// There will be no permission.
    pub async fn look(&self, holder: Holder, device: &mut Device) -> Result<bool, Error> {
        let config = self.context.config();
        let held = config.settings_of(holder).ok_or(CHANGED)?;
        let form = device.ask(held.client);
        match ask::post(held.client.token_endpoint(), &form, held.ca, &self.context.time).await {
            Ok((status, content)) => match device.hear(status, &content)? {
                Some(granted) => self.take(holder, held.client, granted).await.map(|()| true),
                None => Ok(false),
            },
            // A missing response is not a reason to give up (RFC 8628 section 3.5).
            Err(Error::Server { .. }) => {
                device.slow_down();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the permission for the address at which the browser ended.
    ///
    /// # Errors
    /// There is no permission.
    pub async fn redeem(&self, holder: Holder, code: &Code, pasted: &str) -> Result<(), Error> {
        let config = self.context.config();
        let held = config.settings_of(holder).ok_or(CHANGED)?;
        let form = code.ask(held.client, &code.code(pasted)?);
        let url = held.client.token_endpoint();
        self.wait_for_no_clock(url)?;
        let (status, content) = ask::post(url, &form, held.ca, &self.context.time).await?;
        let granted = response::tokens(status, &content).map_err(Error::from)?;
        self.take(holder, held.client, granted).await
    }

    /// Gives a new permission to all holders that it is valid for.
    async fn take(&self, holder: Holder, client: &OAuth2, granted: Granted) -> Result<(), Error> {
        let new = granted.refresh.as_ref().ok_or(Error::Refused(
            "it gives no refresh token; the scope may have to name offline access".to_owned(),
        ))?;
        let grant = Rc::new(Grant::new(new));
        grant.take(&granted, self.context.time.now());
        let config = self.context.config();
        {
            // Clients that still hold the old refresh token, such as an edit under way, get the new one.
            let like = config.sharing_permission(holder);
            let old = like.iter().filter_map(|holder| config.settings_of(*holder));
            let old = old.map(|held| &held.client.refresh_token).filter(|old| !old.is_empty());
            let mut grants = self.grants.borrow_mut();
            for refresh in old.chain([new]) {
                grants.insert(name(client, refresh), grant.clone());
            }
        }
        self.keep(&|config| {
            let like = config.sharing_permission(holder);
            let same = config.clients_mut().filter(|(_, other)| other.is_same_client(client));
            same.filter(|(other, _)| like.contains(other))
                .for_each(|(_, other)| other.refresh_token = new.clone());
        })
        .await
    }
}

const CHANGED: Error = Error::Settings("its settings were changed meanwhile");
