//! The commands: name, arguments, help and function of each.

mod looks;

use super::command::{Argument, Command, help};
use super::session::Session;

/// All commands.
pub struct Table;

/// The only one.
pub const TABLE: Table = Table;

impl Table {
    /// All commands, in the order of `help`.
    pub fn iter(&self) -> impl Iterator<Item = &'static Command> + use<> {
        looks::LOOKS.iter().chain(DEEDS)
    }
}

/// The commands that do something.
const DEEDS: &[Command] = &[
    Command {
        name: "set",
        arguments: &[Argument::Setting, Argument::Value],
        required: 2,
        help: "change a setting: `set account.office.pop_lan_only true`",
        run: Session::set,
    },
    Command {
        name: "add account",
        arguments: &[Argument::NewAccount],
        required: 1,
        help: "a new account; give it a password with `password NAME`",
        run: Session::add_account,
    },
    Command {
        name: "add source",
        arguments: &[Argument::Account],
        required: 1,
        help: "a mailbox elsewhere that is collected for the account",
        run: Session::add_source,
    },
    Command {
        name: "add app-password",
        arguments: &[Argument::Account, Argument::AppPassword],
        required: 2,
        help: "a further password of the account, for one device; it is shown this once",
        run: Session::add_app_password,
    },
    Command {
        name: "remove account",
        arguments: &[Argument::Account],
        required: 1,
        help: "the account goes, its mail stays on the flash: see `show unclaimed`",
        run: Session::remove_account,
    },
    Command {
        name: "rename account",
        arguments: &[Argument::Account, Argument::NewAccount],
        required: 2,
        help: "another name to log in as; mail, passwords and sources stay",
        run: Session::rename_account,
    },
    Command {
        name: "remove unclaimed",
        arguments: &[Argument::Unclaimed],
        required: 1,
        help: "delete mail that a removed account has left",
        run: Session::remove_unclaimed,
    },
    Command {
        name: "claim",
        arguments: &[Argument::Unclaimed, Argument::Account],
        required: 2,
        help: "give mail that a removed account has left to an account",
        run: Session::claim,
    },
    Command {
        name: "remove source",
        arguments: &[Argument::Account, Argument::Source],
        required: 2,
        help: "the mailbox elsewhere is no longer collected",
        run: Session::remove_source,
    },
    Command {
        name: "remove app-password",
        arguments: &[Argument::Account, Argument::AppPassword],
        required: 2,
        help: "the device that has it can log in no longer",
        run: Session::remove_app_password,
    },
    Command {
        name: "remove setting",
        arguments: &[Argument::Setting],
        required: 1,
        help: "put a setting back to its default",
        run: Session::remove_setting,
    },
    Command {
        name: "remove message",
        arguments: &[Argument::Message],
        required: 1,
        help: "take a message out of the queue, its sender is not told",
        run: Session::remove_message,
    },
    Command {
        name: "password",
        arguments: &[Argument::Secret],
        required: 1,
        help: "ask for a new password, of an account or `smarthost.password`",
        run: Session::password,
    },
    Command {
        name: "oauth2",
        arguments: &[Argument::Permitted, Argument::Source],
        required: 1,
        help: "ask for a permission to log in elsewhere without a password",
        run: Session::oauth2,
    },
    Command {
        name: "check",
        arguments: &[Argument::File],
        required: 0,
        help: "look for errors in what `commit` would do, or in a file of the card",
        run: Session::check,
    },
    Command {
        name: "commit confirmed",
        arguments: &[Argument::Time],
        required: 0,
        help: "put the changes in force for 5m, or a given time: `confirm` keeps them",
        run: Session::commit_confirmed,
    },
    Command {
        name: "confirm",
        arguments: &[],
        required: 0,
        help: "store what is on trial: it stays",
        run: Session::confirm,
    },
    Command {
        name: "commit",
        arguments: &[],
        required: 0,
        help: "store the changes and put them in force at once",
        run: Session::commit,
    },
    Command {
        name: "rollback",
        arguments: &[],
        required: 0,
        help: "give up the changes since the last commit",
        run: Session::rollback,
    },
    Command {
        name: "discard",
        arguments: &[],
        required: 0,
        help: "the same as `rollback`",
        run: Session::rollback,
    },
    Command {
        name: "import",
        arguments: &[Argument::File],
        required: 0,
        help: "a whole configuration: pasted up to a line with a dot, or of the card",
        run: Session::import,
    },
    Command {
        name: "export",
        arguments: &[Argument::Word("with-secrets")],
        required: 0,
        help: "print the configuration as TOML",
        run: Session::export,
    },
    Command {
        name: "test source",
        arguments: &[Argument::Account, Argument::Source],
        required: 1,
        help: "try it out, up to what would be collected: nothing is",
        run: Session::test_source,
    },
    Command {
        name: "test smarthost",
        arguments: &[Argument::Account],
        required: 0,
        help: "try the smarthost out: nothing is sent",
        run: Session::test_smarthost,
    },
    Command {
        name: "test login",
        arguments: &[Argument::Account, Argument::Service],
        required: 1,
        help: "ask for a password and tell what a login with it comes to, and why",
        run: Session::test_login,
    },
    // Before the one whose account the second word would be.
    Command {
        name: "collect stop",
        arguments: &[Argument::Account],
        required: 0,
        help: "end these polls, keeping what has come, and begin none until `collect`",
        run: Session::stop_collecting,
    },
    Command {
        name: "collect",
        arguments: &[Argument::Account],
        required: 0,
        help: "collect now from all sources, or from an account's",
        run: Session::collect,
    },
    Command {
        name: "disconnect",
        arguments: &[Argument::Connected],
        required: 1,
        help: "end a session of `show sessions`",
        run: Session::disconnect,
    },
    Command {
        name: "queue hold",
        arguments: &[Argument::Queued, Argument::QueuedOf],
        required: 1,
        help: "keep messages back: a number, `account NAME` or `all`",
        run: Session::hold,
    },
    Command {
        name: "queue release",
        arguments: &[Argument::Queued, Argument::QueuedOf],
        required: 1,
        help: "let go of held messages, and try them now",
        run: Session::release,
    },
    Command {
        name: "queue flush",
        arguments: &[Argument::Queued, Argument::QueuedOf],
        required: 0,
        help: "try messages now, but for held ones; all where none are named",
        run: Session::flush,
    },
    Command {
        name: "queue remove",
        arguments: &[Argument::Queued, Argument::QueuedOf, Argument::Word("notify")],
        required: 1,
        help: "take messages out of the queue; their senders are told with `notify`",
        run: Session::remove_queued,
    },
    Command {
        name: "retry",
        arguments: &[],
        required: 0,
        help: "try everything in the queue now",
        run: Session::retry,
    },
    Command {
        name: "update",
        arguments: &[Argument::File],
        required: 1,
        help: "take a new version from a file of the device, verify it, restart and try it",
        run: Session::update,
    },
    Command {
        name: "switch slot",
        arguments: &[],
        required: 0,
        help: "restart with the version in the other slot, on trial",
        run: Session::switch_slot,
    },
    Command {
        name: "mail export",
        arguments: &[Argument::Mail, Argument::File],
        required: 1,
        help: "an account's mail into a folder of the card or a stick, as mbox files",
        run: Session::export_mail,
    },
    Command {
        name: "mail import",
        arguments: &[Argument::Account, Argument::File],
        required: 1,
        help: "mail from a folder of the card or a stick into an account, once",
        run: Session::import_mail,
    },
    Command {
        name: "backup",
        arguments: &[Argument::File],
        required: 0,
        help: "settings, keys, queue and all mail into one file of the card, or of /usb",
        run: Session::backup,
    },
    Command {
        name: "restore",
        arguments: &[Argument::File],
        required: 1,
        help: "a backup of the card or a stick replaces settings, mail and queue",
        run: Session::restore,
    },
    Command {
        name: "remove before-restore",
        arguments: &[],
        required: 0,
        help: "delete what was there before a restore",
        run: Session::remove_before_restore,
    },
    Command {
        name: "fsck",
        arguments: &[],
        required: 0,
        help: "read every record and every message, and tell what is damaged",
        run: Session::fsck,
    },
    Command {
        name: "bench-auth",
        arguments: &[],
        required: 0,
        help: "how long the check of a password takes here",
        run: Session::bench_auth,
    },
    Command {
        name: "date",
        arguments: &[],
        required: 0,
        help: "what time it is, and whether that is known",
        run: Session::date,
    },
    Command {
        name: "restart",
        arguments: &[Argument::Word("daemon")],
        required: 0,
        help: "start the device anew, or only its daemon",
        run: Session::restart,
    },
    Command {
        name: "power off",
        arguments: &[],
        required: 0,
        help: "switch the device off",
        run: Session::power_off,
    },
    Command {
        name: "help",
        arguments: &[Argument::Topic],
        required: 0,
        help: "this list, or more about one command or one setting",
        run: |_, _, words| help(words),
    },
    Command {
        name: "?",
        arguments: &[Argument::Topic],
        required: 0,
        help: "the same",
        run: |_, _, words| help(words),
    },
    Command { name: "quit", arguments: &[], required: 0, help: "end the console", run: Session::quit },
    Command { name: "exit", arguments: &[], required: 0, help: "the same", run: Session::quit },
];
