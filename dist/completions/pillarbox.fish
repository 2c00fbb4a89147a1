# Completion of pillarbox for fish; made from the program's own tables.
complete -c pillarbox -f
complete -c pillarbox -n __fish_use_subcommand -l help -d 'all commands'
complete -c pillarbox -n __fish_use_subcommand -l version -d 'the version'
complete -c pillarbox -n __fish_use_subcommand -a backup -d 'write settings, keys, queue and all mail to the file DEST, while serving too (-: standard output)'
complete -c pillarbox -n '__fish_seen_subcommand_from backup' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from backup' -F
complete -c pillarbox -n __fish_use_subcommand -a bench-auth -d 'tell how long the check of a password takes here, and with how many rounds it would take 50 ms'
complete -c pillarbox -n '__fish_seen_subcommand_from bench-auth' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n __fish_use_subcommand -a check -d 'tell every mistake in a configuration file; secrets that are stored in the data folder need not be in it'
complete -c pillarbox -n '__fish_seen_subcommand_from check' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from check' -F
complete -c pillarbox -n __fish_use_subcommand -a console -d 'the operator\'s console of the running appliance (-c: run one command of it; more of them, one after the other)'
complete -c pillarbox -n '__fish_seen_subcommand_from console' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from console' -s c -x
complete -c pillarbox -n __fish_use_subcommand -a export -d 'print the stored configuration, without secrets unless they are asked for'
complete -c pillarbox -n '__fish_seen_subcommand_from export' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from export' -l with-secrets
complete -c pillarbox -n __fish_use_subcommand -a fsck -d 'read every record and every message and tell what is damaged (--repair: save all that can be saved)'
complete -c pillarbox -n '__fish_seen_subcommand_from fsck' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from fsck' -l repair
complete -c pillarbox -n __fish_use_subcommand -a help -d 'this, or all about a command, a section of the configuration or a setting'
complete -c pillarbox -n '__fish_seen_subcommand_from help' -a 'account account.address account.aliases account.connector account.enabled account.id account.imap account.imap_lan_only account.multipop account.name account.password account.pop account.pop_lan_only account.quota account.smarthost_password account.smarthost_username account.verifier app_password app_password.name app_password.password app_password.services app_password.verifier backup bench-auth board check console export fsck help import listen listen.http listen.https listen.imap listen.imaps listen.lan_smtp listen.pop3 listen.pop3s listen.submission listen.submissions mail multipop multipop.enabled multipop.interval multipop.timeout multipop.warn_after network network.address network.dns network.gateway network.ntp oauth2 oauth2.auth_url oauth2.client_id oauth2.client_secret oauth2.device_url oauth2.provider oauth2.refresh_token oauth2.scope oauth2.token_url queue restore restored run server server.connector server.domains server.hostname server.lan server.lan_smtp_relay server.lan_smtp_sender server.max_connections server.max_message_size server.operator_password server.operator_verifier server.postmaster server.shared_domains server.users_edit_sources smarthost smarthost.auth smarthost.ca smarthost.connections smarthost.delay_notice smarthost.expire smarthost.host smarthost.password smarthost.per_account_authentication smarthost.port smarthost.retry smarthost.security smarthost.username source source.auth source.ca source.dedupe source.delete_after source.enabled source.folder source.host source.id source.interval source.into source.large source.leave_on_server source.max_size source.password source.port source.protocol source.security source.username status tls tls.certificate tls.key tls.plaintext_login'
complete -c pillarbox -n __fish_use_subcommand -a import -d 'store a configuration file; a running appliance takes it over at once'
complete -c pillarbox -n '__fish_seen_subcommand_from import' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from import' -F
complete -c pillarbox -n __fish_use_subcommand -a mail -d 'bring the folder DEST to where the account\'s mail is, flags and folders included (maildir where not told)'
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and not __fish_seen_subcommand_from export import' -a export -d 'bring the folder DEST to where the account\'s mail is, flags and folders included (maildir where not told)'
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and __fish_seen_subcommand_from export' -l format -x -a 'maildir mbox'
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and __fish_seen_subcommand_from export' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and __fish_seen_subcommand_from export' -F
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and not __fish_seen_subcommand_from export import' -a import -d 'put the mail of SRC (a Maildir, mbox files, or an export) into the account, each message once'
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and __fish_seen_subcommand_from import' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from mail; and __fish_seen_subcommand_from import' -F
complete -c pillarbox -n __fish_use_subcommand -a multipop -d 'what fetchmail, getmail6 or mpop have collected for the account, by their own FILE, does not come again (--source: of which of its sources, where the file does not say so; --as-own: delete it there as the source\'s settings say, though it is not here)'
complete -c pillarbox -n '__fish_seen_subcommand_from multipop; and not __fish_seen_subcommand_from import-state' -a import-state -d 'what fetchmail, getmail6 or mpop have collected for the account, by their own FILE, does not come again (--source: of which of its sources, where the file does not say so; --as-own: delete it there as the source\'s settings say, though it is not here)'
complete -c pillarbox -n '__fish_seen_subcommand_from multipop; and __fish_seen_subcommand_from import-state' -l source -x
complete -c pillarbox -n '__fish_seen_subcommand_from multipop; and __fish_seen_subcommand_from import-state' -l as-own
complete -c pillarbox -n '__fish_seen_subcommand_from multipop; and __fish_seen_subcommand_from import-state' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from multipop; and __fish_seen_subcommand_from import-state' -F
complete -c pillarbox -n __fish_use_subcommand -a queue -d 'what waits for the smarthost, and why'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list show hold release flush remove' -a list -d 'what waits for the smarthost, and why'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and __fish_seen_subcommand_from list' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list show hold release flush remove' -a show -d 'all about one of these messages: how far it got, what was done, its header'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and __fish_seen_subcommand_from show' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list show hold release flush remove' -a hold -d 'keep one of them, those of an account, or all: they are not tried, and do not run out of time'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and __fish_seen_subcommand_from hold' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list show hold release flush remove' -a release -d 'let go of what is held, and try it now'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and __fish_seen_subcommand_from release' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list show hold release flush remove' -a flush -d 'try what waits now, but for what is held; all where nothing is named'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and __fish_seen_subcommand_from flush' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and not __fish_seen_subcommand_from list show hold release flush remove' -a remove -d 'take messages out of the queue (notify, as the last word: their senders are told)'
complete -c pillarbox -n '__fish_seen_subcommand_from queue; and __fish_seen_subcommand_from remove' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n __fish_use_subcommand -a restore -d 'put a backup in the place of what is in DIR, which is set aside (-: standard input)'
complete -c pillarbox -n '__fish_seen_subcommand_from restore' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from restore' -F
complete -c pillarbox -n __fish_use_subcommand -a restored -d 'make a data folder that was put back from a copy safe for mail programs that knew a newer state (--keep-queue, --discard-queue: whether what waits for the smarthost goes out, which the newer state may have sent already; --nothing-newer: there was none, the copy is only noted as such)'
complete -c pillarbox -n '__fish_seen_subcommand_from restored' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from restored' -l keep-queue
complete -c pillarbox -n '__fish_seen_subcommand_from restored' -l discard-queue
complete -c pillarbox -n '__fish_seen_subcommand_from restored' -l nothing-newer
complete -c pillarbox -n __fish_use_subcommand -a run -d 'serve in the foreground (--config: check and import that file first; --serial: a console there; --board: on a card image; --failsafe: on loopback only, collecting and sending nothing)'
complete -c pillarbox -n '__fish_seen_subcommand_from run' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from run' -l config -r -F
complete -c pillarbox -n '__fish_seen_subcommand_from run' -l serial -r -F
complete -c pillarbox -n '__fish_seen_subcommand_from run' -l board -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from run' -l failsafe
complete -c pillarbox -n __fish_use_subcommand -a status -d 'one look at the running appliance: memory, sessions, queue, sources, flash'
complete -c pillarbox -n '__fish_seen_subcommand_from status' -l data -x -a '(__fish_complete_directories)'
complete -c pillarbox -n '__fish_seen_subcommand_from status' -l json
