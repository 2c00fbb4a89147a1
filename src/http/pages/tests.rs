//! The pages as their visitors use them, without a connection: who may see and do what, and what forms change.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use super::respond;
use crate::certificate;
use crate::config::check::check;
use crate::config::problem::Problem;
use crate::config::{Config, path};
use crate::context::Context;
use crate::credential::Verifier;
use crate::flash::sim::SimFlash;
use crate::http::form::Form;
use crate::http::request::parse;
use crate::http::tests::site;
use crate::http::visit::Visit;
use crate::http::{Response, Site};
use crate::store::Store;

/// A visitor with a browser.
struct Browser {
    context: Rc<Context>,
    site: Rc<Site>,
    cookie: RefCell<String>,
    /// The token of the last page.
    token: RefCell<String>,
    peer: IpAddr,
    is_tls: bool,
}

impl Browser {
    async fn new(config: Config) -> Browser {
        let flash = Rc::new(SimFlash::default());
        let tls = certificate::server_config(&config, &*flash).await.unwrap();
        let context = Rc::new(Context::new(config, tls, Store::new(flash)));
        let site = site(context.clone()).await;
        let peer = IpAddr::from([127, 0, 0, 1]);
        Browser { context, site, cookie: RefCell::default(), token: RefCell::default(), peer, is_tls: true }
    }

    /// Another browser on the same pages, without a cookie.
    fn beside(&self) -> Browser {
        let (context, site) = (self.context.clone(), self.site.clone());
        Browser { context, site, cookie: RefCell::default(), token: RefCell::default(), ..*self }
    }

    async fn ask(&self, method: &str, path: &str, fields: &str, content: &str) -> (String, String) {
        self.ask_for("localhost", method, path, fields, content).await
    }

    async fn ask_for(
        &self,
        host: &str,
        method: &str,
        path: &str,
        fields: &str,
        content: &str,
    ) -> (String, String) {
        let cookie = self.cookie.borrow().clone();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Cookie: x=y; __Host-pillarbox={cookie}\r\n\r\n"
        );
        let request = parse(head.as_bytes()).unwrap().unwrap();
        let form = Form::parse(content.as_bytes()).unwrap();
        let visit = Visit::new(&self.site, &request, form, self.peer, self.is_tls);
        let Response { status, more, content, .. } = Box::pin(respond(&visit)).await;
        if let Some((_, rest)) = more.split_once("__Host-pillarbox=") {
            *self.cookie.borrow_mut() = rest.split(';').next().unwrap().to_owned();
        }
        let content = String::from_utf8(content).unwrap();
        if let Some((_, rest)) = content.split_once("name=\"token\" value=\"") {
            *self.token.borrow_mut() = rest.split('"').next().unwrap().to_owned();
        }
        (format!("{status} {more}").trim().to_owned(), content)
    }

    /// Gets a page: its status and content.
    async fn get(&self, path: &str) -> (String, String) {
        self.ask("GET", path, "", "").await
    }

    /// Sends a form with the token of the last page.
    async fn post(&self, path: &str, form: &str) -> (String, String) {
        let token = self.token.borrow().clone();
        self.ask("POST", path, "Origin: https://localhost\r\n", &format!("token={token}&{form}")).await
    }

    async fn log_in(&self, login: &str, password: &str) -> String {
        self.get("/login").await;
        self.post("/login", &format!("login={login}&password={password}")).await.0
    }

    fn config(&self) -> Rc<Config> {
        self.context.config()
    }
}

/// Two accounts, and an operator with the password `the operator`.
fn config() -> Config {
    let mut config = Config::demonstration(Verifier::with("open sesame", 1, [0; 16]));
    path::add_account(&mut config, "office").unwrap();
    config.accounts[1].verifier = Verifier::with("of the office", 1, [1; 16]);
    config.server.operator_verifier = Verifier::with("the operator", 1, [0; 16]);
    config.identify(&Config::default());
    config
}

fn run(test: impl AsyncFnOnce()) {
    async_io::block_on(test());
}

/// Catches: a page that takes much of the memory of a small board as long as it is served.
#[test]
fn a_request_takes_little_memory() {
    run(async || {
        let browser = Browser::new(config()).await;
        let request = parse(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap().unwrap();
        let visit = Visit::new(&browser.site, &request, Form::default(), browser.peer, true);
        let (page, config) = (size_of_val(&respond(&visit)), size_of::<Config>());
        assert!(page < 64 << 10, "{page} octets, of which the settings have {config}");
    });
}

/// Catches: an operator's page that another person sees, a user's page that shows somebody else's account, and a password that
/// is accepted without TLS.
#[test]
fn each_person_sees_what_is_theirs() {
    run(async || {
        const OPERATORS: [&str; 8] = [
            "/accounts",
            "/accounts/demo",
            "/accounts/demo/sources",
            "/accounts/demo/sources/new",
            "/server",
            "/server/smarthost",
            "/queue",
            "/sessions",
        ];
        let nobody = Browser::new(config()).await;
        for path in OPERATORS.iter().chain(&["/mine", "/mine/sources", "/first/mail"]) {
            assert_eq!(nobody.get(path).await.0, "303 See Other Location: /login", "{path}");
        }
        assert!(nobody.log_in("demo", "wrong one").await.starts_with("403"));
        assert!(nobody.log_in("operator", "open sesame").await.starts_with("403"));
        assert!(nobody.log_in("demo", "the operator").await.starts_with("403"));

        let user = nobody.beside();
        assert!(user.log_in("demo", "open+sesame").await.starts_with("303 See Other Location: /mine"));
        for path in OPERATORS {
            assert_eq!(user.get(path).await.0, "403 Forbidden", "{path}");
        }
        let (status, page) = user.get("/mine").await;
        assert!(
            status == "200 OK" && page.contains("demo@pillarbox.local") && !page.contains("office"),
            "{page}"
        );
        assert_eq!(user.get("/mine/sources").await.0, "404 Not Found", "the operator does not allow it");
        assert!(!user.get("/").await.1.contains("office"));
        let (status, profile) = user.get("/profile/demo.mobileconfig").await;
        assert!(
            status.starts_with("200 OK") && profile.contains("<string>demo@pillarbox.local</string>"),
            "{status}"
        );
        assert_eq!(user.get("/profile/office.mobileconfig").await.0, "404 Not Found");
        assert_eq!(nobody.get("/profile/demo.mobileconfig").await.0, "303 See Other Location: /login");

        let operator = nobody.beside();
        assert!(operator.log_in("Operator", "the+operator").await.starts_with("303 See Other Location: /\r"));
        for path in OPERATORS {
            assert_eq!(operator.get(path).await.0, "200 OK", "{path}");
        }
        assert_eq!(operator.get("/accounts/nobody").await.0, "404 Not Found");
        assert_eq!(operator.get("/accounts/demo/sources/1").await.0, "404 Not Found");

        // Without TLS there is no session, whatever cookie is sent.
        let plain = Browser { is_tls: false, cookie: operator.cookie.clone(), ..nobody.beside() };
        for path in ["/login", "/accounts", "/first"] {
            assert_eq!(
                plain.get(path).await.0,
                format!("303 See Other Location: https://localhost:1443{path}")
            );
        }
        assert!(!plain.get("/").await.1.contains("Log out"));
        assert!(plain.post("/login", "login=operator&password=the+operator").await.0.starts_with("303"));
        operator.get("/").await;
        operator.post("/logout", "").await;
        assert_eq!(operator.get("/accounts").await.0, "303 See Other Location: /login");
    });
}

/// Catches: a form that another site can send (CSRF), with or without the cookie of a person who is logged in.
#[test]
fn a_form_is_taken_from_our_own_pages_only() {
    run(async || {
        let operator = Browser::new(config()).await;
        operator.log_in("operator", "the+operator").await;
        operator.get("/accounts/demo").await;
        let token = operator.token.borrow().clone();
        let send = async |origin: &str, token: &str| {
            let form = format!("token={token}&imap=on");
            operator.ask("POST", "/accounts/demo/mail-services", origin, &form).await.0
        };
        for origin in ["null", "https://evil.example", "http://localhost", "https://localhost.evil.example"] {
            let status = send(&format!("Origin: {origin}\r\n"), &token).await;
            assert_eq!(status, "403 Forbidden", "{origin}");
        }
        let others = operator.beside();
        others.get("/login").await;
        let theirs = others.token.borrow().clone();
        for wrong in ["", "x", theirs.as_str()] {
            assert_eq!(send("", wrong).await, "403 Forbidden", "{wrong}");
            assert_eq!(send("Origin: https://localhost:1443\r\n", wrong).await, "403 Forbidden", "{wrong}");
        }
        assert!(operator.config().accounts[0].pop, "nothing was changed");
        assert!(send("Origin: https://localhost:8443\r\n", &token).await.starts_with("303"));
        assert!(!operator.config().accounts[0].pop);
        // This holds for the login, too: nobody may be logged in as somebody else without knowing.
        let login = "login=demo&password=open+sesame";
        assert_eq!(others.ask("POST", "/login", "Origin: null\r\n", login).await.0, "403 Forbidden");
        assert_eq!(others.ask("POST", "/login", "", login).await.0, "403 Forbidden");
        for path in ["/", "/status.json", "/ca.pem"] {
            assert!(operator.post(path, "").await.0.starts_with("405 "), "{path}");
        }
    });
}

/// Catches: a device with other people's mail that makes the first visitor its operator, and one that can be set up twice.
#[test]
fn who_sets_up_a_device_belongs_to_it() {
    run(async || {
        const OPERATOR: &str = "operator_password=the+operator&operator_password_again=the+operator";
        let mut with_accounts = config();
        with_accounts.server.operator_verifier = Config::default().server.operator_verifier;
        let browser = Browser::new(with_accounts).await;
        assert!(browser.get("/first").await.1.contains("Do you belong here?"));
        for login in ["", "&login=demo&account_password=wrong+one", "&login=operator&account_password="] {
            let (status, page) = browser.post("/first", &format!("{OPERATOR}{login}")).await;
            assert!(status.starts_with("422") && page.contains("refused"), "{login}: {page}");
        }
        assert!(!browser.config().server.operator_verifier.is_set());
        let form = format!("{OPERATOR}&login=demo&account_password=open+sesame&account=eve&house=x");
        assert!(browser.post("/first", &form).await.0.starts_with("303 See Other Location: /\r"));
        assert!(browser.config().server.operator_verifier.verify(b"the operator"));
        assert_eq!(browser.config().accounts.len(), 2);
        assert_eq!(browser.get("/accounts").await.0, "200 OK", "and is logged in");

        // Where the house gets another name than the one in the request, the page shows the new address.
        let new = Browser::new(Config { accounts: Vec::new(), ..Config::default() }).await;
        let ask = async |path: &str, content: &str| {
            let method = if content.is_empty() { "GET" } else { "POST" };
            new.ask_for("pillarbox.local", method, path, "", content).await
        };
        assert!(ask("/", "").await.1.contains("I am new"));
        ask("/first", "").await;
        let token = new.token.borrow().clone();
        let account =
            "account=ann&account_password=open+sesame&account_password_again=open+sesame&house=Meier";
        let (status, page) = ask("/first", &format!("token={token}&{OPERATOR}&{account}")).await;
        assert!(status == "200 OK" && page.contains("https://meier.local:1443/"), "{status} {page}");
        assert_eq!(new.config().accounts[0].address, "ann@meier.local");

        let again = browser.beside();
        assert_eq!(again.get("/first").await.0, "303 See Other Location: /login");
        again.get("/login").await;
        let form = OPERATOR.replace("the+operator", "eve+was+here");
        assert_eq!(again.post("/first", &form).await.0, "303 See Other Location: /login");
        assert!(browser.config().server.operator_verifier.verify(b"the operator"));
    });
}

/// Catches: a form that changes another account or a setting that is not on it, a disabled box that has an effect, and a value
/// that becomes markup.
#[test]
fn a_form_changes_what_is_on_it() {
    run(async || {
        let operator = Browser::new(config()).await;
        operator.log_in("operator", "the+operator").await;
        operator.get("/accounts/demo").await;
        let services = "/accounts/demo/mail-services";
        let (status, _) = operator.post(services, "pop=on&connector=on&quota=1KiB&name=x&enabled=").await;
        assert!(status.starts_with("303 See Other Location: /accounts/demo"), "{status}");
        let demo = operator.config().accounts[0].clone();
        assert!(demo.pop && !demo.imap && !demo.connector && demo.enabled && demo.quota == 0);
        assert_eq!(operator.config().accounts[1], config().accounts[1].clone_with_id(&operator.config()));
        // The right is in force on the server and IMAP is off: the box is disabled and keeps its value.
        let mut changed = Config::clone(&operator.config());
        changed.server.connector = true;
        operator.context.reconfigure(changed, operator.context.tls());
        let page = operator.get("/accounts/demo").await.1;
        assert!(
            page.contains("The Connector needs IMAP") && page.contains("name=\"connector\" disabled"),
            "{page}"
        );
        operator.post(services, "pop=on&imap=on").await;
        operator.post(services, "pop=on&imap=on&connector=on").await;
        assert!(operator.config().accounts[0].connector);
        let (status, page) = operator.post(services, "pop=on&connector=on").await;
        assert!(status.starts_with("422") && page.contains("id=\"account-demo-connector-wrong\""), "{page}");
        assert!(operator.config().accounts[0].imap);

        let evil = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
        let (status, page) =
            operator.post("/accounts/demo/general", &format!("enabled=on&address={evil}")).await;
        assert!(status.starts_with("422") && !page.contains("<script"), "{page}");
        for path in ["/accounts", "/login"] {
            let (_, page) = operator.post(path, &format!("account={evil}&login={evil}")).await;
            assert!(!page.contains("<script"), "{page}");
        }
    });
}

impl crate::config::Account {
    /// The account with the identity that it has in `config`.
    fn clone_with_id(&self, config: &Config) -> Self {
        let id = config.account(&self.name).unwrap().id;
        crate::config::Account { id, ..self.clone() }
    }
}

/// Catches: a change that shuts its author out at once and for ever, one that is stored before somebody has confirmed it, and
/// one that cannot be confirmed.
#[test]
fn what_would_shut_out_is_tried_first() {
    run(async || {
        let operator = Browser::new(config()).await;
        operator.log_in("operator", "the+operator").await;
        let page = operator.get("/server/server").await.1;
        assert!(page.contains("name=\"lan\""));
        let form = "hostname=pillarbox.local&domains=pillarbox.local&lan=192.168.7.0/24&max_connections=200&max_message_size=50MiB";
        let (status, page) = operator.post("/server/server", form).await;
        assert!(status == "200 OK" && page.contains("would be closed to you"), "{page}");
        assert!(page.contains("name=\"lan\" value=\"192.168.7.0/24\""), "the form is kept: {page}");
        assert!(operator.config().server.is_on_lan(operator.peer));
        let (_, page) = operator.post("/server/server", &format!("{form}&sure=yes")).await;
        assert!(page.contains("five minutes"), "{page}");
        assert!(!operator.config().server.is_on_lan(operator.peer));
        let on_trial = operator.site.operator.on_trial().unwrap().as_secs();
        assert!((290..=300).contains(&on_trial), "{on_trial}");
        assert!(operator.get("/").await.1.contains("Keep these settings"));
        assert!(operator.post("/confirm", "").await.0.starts_with("303"));
        assert_eq!(operator.site.operator.on_trial(), None);
        // This is the listener of these very pages.
        let (_, page) = operator.post("/server/listen", "https=127.0.0.1:9443").await;
        assert!(page.contains("listen on would change"), "{page}");
        assert_eq!(operator.config().listen.https, config().listen.https);
    });
}

/// Catches: a picture for a telephone's camera with an address that leads the telephone to itself.
#[test]
fn a_code_leads_another_device_here() {
    run(async || {
        let user = Browser::new(config()).await;
        user.log_in("demo", "open+sesame").await;
        for (host, leads) in [
            ("localhost", "pillarbox.local"),
            ("LOCALHOST.:8443", "pillarbox.local"),
            ("127.0.0.1", "pillarbox.local"),
            ("127.9.9.9:1443", "pillarbox.local"),
            ("[::1]", "pillarbox.local"),
            ("[fe80::5%25wlan0]", "pillarbox.local"),
            ("192.168.1.5:1443", "192.168.1.5"),
            ("[fd00::5]:1443", "[fd00::5]"),
            ("box.home.example", "box.home.example"),
        ] {
            let page = user.ask_for(host, "GET", "/mine", "", "").await.1;
            assert!(page.contains(&format!(">https://{leads}:1443/mine<")), "{host}: {page}");
        }
    });
}

/// Catches: a user who cannot make an app password or sees it twice, a password that is changed without the old one, and
/// sessions of other browsers that outlive the change.
#[test]
fn a_user_changes_his_own_passwords() {
    run(async || {
        let user = Browser::new(config()).await;
        user.log_in("demo", "open+sesame").await;
        user.get("/mine").await;
        assert!(user.post("/mine/app-passwords", "app=phone").await.0.starts_with("303"));
        let page = user.get("/mine").await.1;
        let (_, rest) = page.split_once("The password for phone is ").unwrap();
        let app = rest.split_whitespace().next().unwrap().to_owned();
        assert!(user.config().accounts[0].app_passwords[0].verifier.verify(app.as_bytes()), "{app}");
        assert!(!user.get("/mine").await.1.contains(&app), "once");
        let (head, profile) = user.post("/mine/app-passwords", "app=tablet&profile=yes").await;
        assert!(head.contains("filename=\"demo.mobileconfig\""), "{head}");
        let (_, rest) = profile.split_once("<key>IncomingPassword</key><string>").unwrap();
        let password = rest.split('<').next().unwrap();
        assert!(user.config().accounts[0].app_passwords[1].verifier.verify(password.as_bytes()), "{profile}");
        assert!(!user.get("/mine").await.1.contains(password));
        assert!(!user.get("/profile/demo.mobileconfig").await.1.contains("<key>IncomingPassword"));
        let (_, page) = user.post("/mine/app-passwords", "app=phone").await;
        assert!(page.contains("has such an app password already"), "{page}");
        let new = "password=new+sesame&password_again=new+sesame";
        let (_, page) = user.post("/mine/password", &format!("old_password=wrong+one&{new}")).await;
        assert!(page.contains("refused"), "{page}");
        assert!(user.config().accounts[0].verifier.verify(b"open sesame"));
        let other = user.beside();
        other.log_in("demo", "open+sesame").await;
        assert!(
            user.post("/mine/password", &format!("old_password=open+sesame&{new}"))
                .await
                .0
                .starts_with("303")
        );
        assert!(user.config().accounts[0].verifier.verify(b"new sesame"));
        assert!(user.config().accounts[0].app_passwords[0].verifier.verify(app.as_bytes()), "it goes on");
        assert_eq!(user.get("/mine").await.0, "200 OK", "who changed it stays");
        assert_eq!(other.get("/mine").await.0, "303 See Other Location: /login", "all others go");
        assert!(user.post("/mine/app-passwords", "remove=phone").await.0.starts_with("303"));
        assert_eq!(user.config().accounts[0].app_passwords.len(), 1);
    });
}

/// Catches: a user who may edit sources and can thereby read files of the device or another user's sources.
#[test]
fn a_user_edits_what_a_user_may() {
    run(async || {
        let mut config = config();
        config.server.users_edit_sources = true;
        let user = Browser::new(config).await;
        user.log_in("demo", "open+sesame").await;
        let page = user.get("/mine/sources/new").await.1;
        assert!(page.contains("name=\"host\"") && !page.contains("name=\"ca\""), "{page}");
        let form = "protocol=imap&security=tls&host=imap.example&port=995&username=me&password=hush&auth=auto&enabled=on&\
                    delete_after=0&ca=/etc/passwd&into=Other";
        assert!(
            user.post("/mine/sources/new", form).await.0.starts_with("303 See Other Location: /mine/sources")
        );
        let source = user.config().accounts[0].sources[0].clone();
        assert_eq!((source.host.as_str(), source.port), ("imap.example", 993), "the port follows");
        assert_eq!(
            (source.ca.as_str(), source.into.as_str(), source.password.reveal()),
            ("", "INBOX", "hush")
        );
        let page = user.get("/mine/sources/1").await.1;
        assert!(page.contains("value=\"********\"") && !page.contains("hush"), "{page}");
        assert!(user.post("/mine/sources/1", "remove=yes").await.0.starts_with("303"));
        assert!(user.config().accounts[0].sources.is_empty());
    });
}

/// What a browser sends of the form at `action` on `page`: its fields as they stand there, except for `changed`.
fn filled(page: &str, action: &str, changed: &[(&str, &str)]) -> String {
    let (_, rest) = page.split_once(&format!("action=\"{action}\"")).unwrap_or_else(|| panic!("{page}"));
    let form = rest.split("</form>").next().unwrap();
    let value_of = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let mut fields = Vec::new();
    for tag in form.split('<').skip(1) {
        let inside = tag.split('>').next().unwrap();
        let Some(name) = value_of(inside, "name").filter(|name| name != "token") else { continue };
        let value = match inside.split(' ').next().unwrap() {
            "input" if inside.contains("type=\"checkbox\"") => {
                inside.contains(" checked").then(|| "on".to_owned())
            }
            "input" => value_of(inside, "value"),
            "select" => {
                let (_, rest) = form.split_once(&format!("name=\"{name}\"")).unwrap();
                let (_, rest) = rest.split_once(" selected>").unwrap();
                Some(rest.split('<').next().unwrap().to_owned())
            }
            "textarea" => Some(tag.split_once('>').unwrap().1.trim_start_matches('\n').to_owned()),
            _ => None,
        };
        let changed = changed.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned());
        if let Some(value) = changed.or(value) {
            fields.push(format!(
                "{name}={}",
                value.replace('%', "%25").replace('\n', "%0d%0a").replace('&', "%26").replace('+', "%2b")
            ));
        }
    }
    fields.join("&")
}

/// Catches: the later of two operators, who undoes the other's work without being told; a source that has moved up in the list
/// and is changed or removed in place of the one that was shown.
#[test]
fn two_operators_do_not_undo_each_other() {
    run(async || {
        let first = Browser::new(config()).await;
        let second = first.beside();
        for browser in [&first, &second] {
            browser.log_in("operator", "the+operator").await;
        }
        let page = first.get("/server/smarthost").await.1;
        second.get("/server/smarthost").await;
        let (status, told) =
            second.post("/server/smarthost", "host=b.example&username=b&password=hush").await;
        assert!(status.starts_with("303"), "{told}");
        // The two have changed different settings: both changes are kept.
        let form = filled(&page, "/server/smarthost", &[("port", "2525")]);
        assert!(form.contains("host=&") && form.contains("was.host="), "{form}");
        let (status, told) = first.post("/server/smarthost", &form).await;
        assert!(status.starts_with("303"), "{told}");
        let smarthost = &first.config().smarthost;
        assert_eq!((&*smarthost.host, smarthost.port, &*smarthost.username), ("b.example", 2525, "b"));
        assert_eq!(smarthost.password.reveal(), "hush");
        // The two have changed the same setting: the first try asks, the second one is meant.
        let form = filled(&page, "/server/smarthost", &[("host", "a.example")]);
        let (status, told) = first.post("/server/smarthost", &form).await;
        assert!(status.starts_with("422") && told.contains("changed by someone else meanwhile"), "{told}");
        assert_eq!(&*first.config().smarthost.host, "b.example");
        let form = filled(&told, "/server/smarthost", &[]);
        assert!(first.post("/server/smarthost", &form).await.0.starts_with("303"));
        assert_eq!(&*first.config().smarthost.host, "a.example");

        for number in 1..=2 {
            first.get("/accounts/demo/sources/new").await;
            let form = format!(
                "protocol=pop3&security=tls&host=pop{number}.example&username=u&password=hush&enabled=on"
            );
            assert!(first.post("/accounts/demo/sources/new", &form).await.0.starts_with("303"));
        }
        let page = first.get("/accounts/demo/sources/1").await.1;
        second.get("/accounts/demo/sources/1").await;
        assert!(second.post("/accounts/demo/sources/1", "remove=yes").await.0.starts_with("303"));
        for change in [("username", "other"), ("remove", "yes")] {
            let mut form = filled(&page, "/accounts/demo/sources/1", &[change]);
            form += if change.0 == "remove" { "&remove=yes" } else { "" };
            let (status, told) = first.post("/accounts/demo/sources/1", &form).await;
            assert!(status.starts_with("303"), "{told}");
            let told = first.get("/accounts/demo/sources").await.1;
            assert!(told.contains("changed by someone else"), "{told}");
            let sources = &first.config().accounts[0].sources;
            assert_eq!((sources.len(), &*sources[0].host, &*sources[0].username), (1, "pop2.example", "u"));
        }
    });
}

/// Catches: a session that ended while somebody typed, who then gets a line of text and has lost the form.
#[test]
fn a_form_of_an_ended_session_leads_to_the_login() {
    run(async || {
        let operator = Browser::new(config()).await;
        operator.log_in("operator", "the+operator").await;
        operator.get("/server/smarthost").await;
        let stale = operator.token.borrow().clone();
        let cookie = operator.cookie.borrow().clone();
        operator.post("/logout", "").await;
        *operator.token.borrow_mut() = stale.clone();
        *operator.cookie.borrow_mut() = cookie;
        let (status, page) = operator.post("/server/smarthost", "host=a.example").await;
        assert!(status.starts_with("403") && page.contains("action=\"/login\""), "{status} {page}");
        assert!(page.contains("You were logged out meanwhile"), "{page}");
        assert_eq!(&*operator.config().smarthost.host, "");
        // A person who has logged in again in another tab is told so, on a page that leads on.
        operator.log_in("operator", "the+operator").await;
        *operator.token.borrow_mut() = stale;
        let (status, page) = operator.post("/server/smarthost", "host=a.example").await;
        assert!(
            status.starts_with("403") && page.contains("<nav") && page.contains("too old"),
            "{status} {page}"
        );
        assert_eq!(&*operator.config().smarthost.host, "");
    });
}

/// Catches: a permission that can be asked for on the console only, a useless address, a wrong one that ends the attempt, and a
/// user who sends the client's secret, which is the operator's, to a server of the user's choice.
#[test]
fn a_permission_is_asked_for_on_a_page() {
    run(async || {
        let mut config = config();
        config.server.users_edit_sources = true;
        path::add_source(&mut config, "demo").unwrap();
        let source = "account.demo.source.1";
        for (key, value) in [
            ("host", "imap.example"),
            ("username", "me@provider.example"),
            ("auth", "oauth2"),
            ("oauth2.client_id", "id"),
            ("oauth2.auth_url", "https://provider.example/auth?x=1"),
            ("oauth2.token_url", "https://127.0.0.1:1/token"),
        ] {
            path::set(&mut config, &format!("{source}.{key}"), value).unwrap();
        }
        path::set_secret(&mut config, &format!("{source}.oauth2.client_secret"), "hush").unwrap();
        config.identify(&Config::default());
        let operator = Browser::new(config).await;
        operator.log_in("operator", "the+operator").await;
        let base = "/accounts/demo/sources/1";
        assert!(operator.get(base).await.1.contains("href=\"/accounts/demo/sources/1/permission\""));
        let here = format!("{base}/permission");
        let page = operator.get(&here).await.1;
        assert!(page.contains("name=\"client_id\" value=\"id\"") && !page.contains("hush"), "{page}");
        assert!(!page.contains("href=\"https://provider.example"), "{page}");
        // Catches: a form that is good for the source which has this number by now.
        assert!(page.contains("name=\"of\" value=\""), "{page}");
        operator.post(&here, "of=another&ask=yes").await;
        assert!(!operator.get(&here).await.1.contains("name=\"pasted\""));
        let (status, page) = operator.post(&here, "ask=yes").await;
        assert!(status.starts_with("303"), "{page}");
        let page = operator.get(&here).await.1;
        assert!(page.contains("href=\"https://provider.example/auth?x=1&#38;response_type=code"), "{page}");
        assert!(page.contains("log in as me@provider.example") && page.contains("name=\"pasted\""), "{page}");
        let (status, page) = operator.post(&here, "pasted=http://127.0.0.1/").await;
        assert!(status.starts_with("422") && page.contains("paste the whole address"), "{page}");
        assert!(page.contains("name=\"pasted\""), "it goes on: {page}");
        assert!(operator.post(&here, "give_up=yes").await.0.starts_with("303"));
        assert!(!operator.get(&here).await.1.contains("name=\"pasted\""));

        let user = operator.beside();
        user.log_in("demo", "open+sesame").await;
        let own = "/mine/sources/1/permission";
        let page = user.get(own).await.1;
        assert!(page.contains("name=\"ask\"") && !page.contains("client_secret"), "{page}");
        let (status, _) = user.post(own, "token_url=https://evil.example/&client_id=id").await;
        assert!(status.starts_with("403"), "{status}");
        assert!(
            user.config().accounts[0].sources[0].oauth2.as_ref().unwrap().token_url.contains("127.0.0.1")
        );
        assert!(user.post(own, "ask=yes").await.0.starts_with("303"));
        assert_eq!(user.get("/mine/sources/2/permission").await.0, "404 Not Found");
        assert!(user.get("/server/smarthost/permission").await.0.starts_with("403"));
    });
}

/// Catches: an account with the operator's name, whose own password is not its old one, and the operator's is.
#[test]
fn an_account_with_the_operators_name_changes_its_own_password() {
    run(async || {
        let mut config = config();
        config.accounts[0].name = "operator".try_into().unwrap();
        let address = config.accounts[0].address.replace('@', "%40");
        let user = Browser::new(config).await;
        user.log_in(&address, "open+sesame").await;
        let typed = |old: &str| format!("old_password={old}&password=another+one&password_again=another+one");
        assert!(user.get("/mine").await.1.contains("old_password"));
        assert!(user.post("/mine/password", &typed("the+operator")).await.0.starts_with("422"));
        assert!(user.post("/mine/password", &typed("open+sesame")).await.0.starts_with("303"));
    });
}

/// Catches: a sequence of forms that leaves settings which `check` refuses.
#[test]
fn no_form_leaves_settings_that_check_refuses() {
    run(async || {
        let operator = Browser::new(config()).await;
        operator.log_in("operator", "the+operator").await;
        operator.get("/").await;
        let paths = [
            "/accounts",
            "/accounts/demo/mail-services",
            "/accounts/demo/general",
            "/accounts/demo/sources/new",
            "/accounts/demo/sources/1",
            "/accounts/demo/app-passwords",
            "/server/smarthost",
            "/server/server",
            "/server/multipop",
            "/server/tls",
        ];
        let values =
            ["", "on", "x", "0", "465", "tls", "none", "imap", "a@home.example", "demo", "10.0.0.0/8", "1h"];
        let keys = [
            "pop",
            "imap",
            "connector",
            "multipop",
            "address",
            "aliases",
            "host",
            "port",
            "security",
            "protocol",
            "username",
            "password",
            "auth",
            "interval",
            "lan",
            "domains",
            "hostname",
            "postmaster",
            "smarthost_password",
            "retry",
            "certificate",
            "app",
            "account",
            "account_password",
            "account_password_again",
            "smarthost_username",
            "folder",
        ];
        let mut seed = 7_u64;
        let mut draw = |most: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % most
        };
        let mut changes = 0;
        for _ in 0..600 {
            let path = paths[draw(paths.len())];
            let form: Vec<String> = (0..draw(8))
                .map(|_| {
                    let (key, value) = (keys[draw(keys.len())], values[draw(values.len())]);
                    format!("{key}={}", value.replace('@', "%40"))
                })
                .collect();
            let before = operator.config();
            let (status, _) = operator.post(path, &form.join("&")).await;
            assert!(!status.starts_with("5"), "{status} {path} {form:?}");
            changes += usize::from(!Rc::ptr_eq(&before, &operator.config()));
            let errors: Vec<Problem> =
                check(&operator.config()).into_iter().filter(Problem::is_error).collect();
            assert_eq!(errors, [], "{path} {form:?}");
        }
        assert!(changes > 50, "{changes}");
    });
}
