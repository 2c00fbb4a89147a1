//! The commands that show something.

use crate::console::command::{Argument, Command};
use crate::console::session::Session;

/// All of them, in the order of `help`.
pub(super) const LOOKS: &[Command] = &[
    Command {
        name: "show status",
        arguments: &[Argument::Word("json")],
        required: 0,
        help: "one look at everything: memory, sessions, queue, sources, flash",
        run: Session::show_status,
    },
    Command {
        name: "show accounts",
        arguments: &[],
        required: 0,
        help: "the accounts and what they may use",
        run: Session::show_accounts,
    },
    Command {
        name: "show app-passwords",
        arguments: &[],
        required: 0,
        help: "the app passwords, what they open, and when they were used last",
        run: Session::show_app_passwords,
    },
    Command {
        name: "show sources",
        arguments: &[],
        required: 0,
        help: "the mailboxes elsewhere and how their last poll ended",
        run: Session::show_sources,
    },
    Command {
        name: "show queue",
        arguments: &[],
        required: 0,
        help: "what waits for the smarthost, and why",
        run: Session::show_queue,
    },
    Command {
        name: "show message",
        arguments: &[Argument::Message],
        required: 1,
        help: "all about a queued message, with its history and header",
        run: Session::show_message,
    },
    Command {
        name: "show refusals",
        arguments: &[],
        required: 0,
        help: "the latest refused logins with their true reason",
        run: Session::show_refusals,
    },
    Command {
        name: "show sessions",
        arguments: &[],
        required: 0,
        help: "who is connected, by which device, and since when",
        run: Session::show_sessions,
    },
    Command {
        name: "show flash",
        arguments: &[],
        required: 0,
        help: "room on the flash, and what is written to it",
        run: Session::show_flash,
    },
    Command {
        name: "show certificate",
        arguments: &[],
        required: 0,
        help: "the server's certificate and its CA: names, period, fingerprints",
        run: Session::show_certificate,
    },
    Command {
        name: "show connect",
        arguments: &[Argument::Account],
        required: 0,
        help: "what is typed into a telephone or a mail program, and a QR code",
        run: Session::show_connect,
    },
    Command {
        name: "show board",
        arguments: &[],
        required: 0,
        help: "the board, its version and slot, and why the last update was not kept",
        run: Session::show_board,
    },
    Command {
        name: "show log",
        arguments: &[],
        required: 0,
        help: "the latest lines of a device's log, which is in memory only",
        run: Session::show_log,
    },
    Command {
        name: "log follow",
        arguments: &[],
        required: 0,
        help: "the lines of a device's log as they come; Control-C ends it",
        run: Session::log_follow,
    },
    Command {
        name: "show config",
        arguments: &[Argument::Section],
        required: 0,
        help: "the settings as they will be after `commit`, secrets hidden",
        run: Session::show_config,
    },
    Command {
        name: "show account",
        arguments: &[Argument::Account],
        required: 1,
        help: "all about one account",
        run: Session::show_account,
    },
    Command {
        name: "show unclaimed",
        arguments: &[],
        required: 0,
        help: "mail that removed accounts have left",
        run: Session::show_unclaimed,
    },
    Command {
        name: "show changes",
        arguments: &[],
        required: 0,
        help: "what `commit` would change",
        run: Session::show_changes,
    },
];
