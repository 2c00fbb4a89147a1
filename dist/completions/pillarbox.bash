# Completion of pillarbox for bash; made from the program's own tables.
_pillarbox() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]}
  COMPREPLY=()
  local firsts='backup bench-auth check console export fsck help import mail multipop queue restore restored run status --help --version'
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$firsts" -- "$cur")
    return
  fi
  local skip=2
  case $verb in
  mail)
    if [ "$COMP_CWORD" -eq 2 ]; then
      mapfile -t COMPREPLY < <(compgen -W 'export import --help' -- "$cur")
      return
    fi
    verb="$verb ${COMP_WORDS[2]}" skip=3 ;;
  multipop)
    if [ "$COMP_CWORD" -eq 2 ]; then
      mapfile -t COMPREPLY < <(compgen -W 'import-state --help' -- "$cur")
      return
    fi
    verb="$verb ${COMP_WORDS[2]}" skip=3 ;;
  queue)
    if [ "$COMP_CWORD" -eq 2 ]; then
      mapfile -t COMPREPLY < <(compgen -W 'list show hold release flush remove --help' -- "$cur")
      return
    fi
    verb="$verb ${COMP_WORDS[2]}" skip=3 ;;
  esac
  local options='' operands=''
  case $verb in
  'run') options='--data --config --serial --board --failsafe --help' operands='' ;;
  'check') options='--data --help' operands='file' ;;
  'import') options='--data --help' operands='file' ;;
  'export') options='--data --with-secrets --help' operands='' ;;
  'console') options='--data -c --help' operands='' ;;
  'status') options='--data --json --help' operands='' ;;
  'mail export') options='--format --data --help' operands='none file' ;;
  'mail import') options='--data --help' operands='none file' ;;
  'queue list') options='--data --help' operands='' ;;
  'queue show') options='--data --help' operands='none' ;;
  'queue hold') options='--data --help' operands='account|all none' ;;
  'queue release') options='--data --help' operands='account|all none' ;;
  'queue flush') options='--data --help' operands='account|all none' ;;
  'queue remove') options='--data --help' operands='account|all none none' ;;
  'multipop import-state') options='--source --as-own --data --help' operands='none file' ;;
  'fsck') options='--data --repair --help' operands='' ;;
  'backup') options='--data --help' operands='file' ;;
  'restore') options='--data --help' operands='file' ;;
  'restored') options='--data --keep-queue --discard-queue --nothing-newer --help' operands='' ;;
  'bench-auth') options='--data --help' operands='' ;;
  'help') options='--help' operands='topic' ;;
  esac
  local kind=''
  case $verb:$prev in
  'run:--data') kind='folder' ;;
  'run:--config') kind='file' ;;
  'run:--serial') kind='file' ;;
  'run:--board') kind='folder' ;;
  'check:--data') kind='folder' ;;
  'import:--data') kind='folder' ;;
  'export:--data') kind='folder' ;;
  'console:--data') kind='folder' ;;
  'console:-c') kind='none' ;;
  'status:--data') kind='folder' ;;
  'mail export:--format') kind='maildir|mbox' ;;
  'mail export:--data') kind='folder' ;;
  'mail import:--data') kind='folder' ;;
  'queue list:--data') kind='folder' ;;
  'queue show:--data') kind='folder' ;;
  'queue hold:--data') kind='folder' ;;
  'queue release:--data') kind='folder' ;;
  'queue flush:--data') kind='folder' ;;
  'queue remove:--data') kind='folder' ;;
  'multipop import-state:--source') kind='none' ;;
  'multipop import-state:--data') kind='folder' ;;
  'fsck:--data') kind='folder' ;;
  'backup:--data') kind='folder' ;;
  'restore:--data') kind='folder' ;;
  'restored:--data') kind='folder' ;;
  'bench-auth:--data') kind='folder' ;;
  esac
  if [ -z "$kind" ]; then
    case $cur in -*)
      mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
      return ;;
    esac
    # Which operand it is: those before it, without options and their values.
    local at=0 i word
    for ((i = skip; i < COMP_CWORD; i++)); do
      word=${COMP_WORDS[i]}
      case $word in
      --board|--config|--data|--format|--serial|--source|-c) i=$((i + 1)) ;;
      -*) ;;
      *) at=$((at + 1)) ;;
      esac
    done
    local kinds=($operands)
    kind=${kinds[at]-none}
  fi
  case $kind in
  folder) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ; compopt -o filenames ;;
  file) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ; compopt -o filenames ;;
  topic) mapfile -t COMPREPLY < <(compgen -W 'account account.address account.aliases account.connector account.enabled account.id account.imap account.imap_lan_only account.multipop account.name account.password account.pop account.pop_lan_only account.quota account.smarthost_password account.smarthost_username account.verifier app_password app_password.name app_password.password app_password.services app_password.verifier backup bench-auth board check console export fsck help import listen listen.http listen.https listen.imap listen.imaps listen.lan_smtp listen.pop3 listen.pop3s listen.submission listen.submissions mail multipop multipop.enabled multipop.interval multipop.timeout multipop.warn_after network network.address network.dns network.gateway network.ntp oauth2 oauth2.auth_url oauth2.client_id oauth2.client_secret oauth2.device_url oauth2.provider oauth2.refresh_token oauth2.scope oauth2.token_url queue restore restored run server server.connector server.domains server.hostname server.lan server.lan_smtp_relay server.lan_smtp_sender server.max_connections server.max_message_size server.operator_password server.operator_verifier server.postmaster server.shared_domains server.users_edit_sources smarthost smarthost.auth smarthost.ca smarthost.connections smarthost.delay_notice smarthost.expire smarthost.host smarthost.password smarthost.per_account_authentication smarthost.port smarthost.retry smarthost.security smarthost.username source source.auth source.ca source.dedupe source.delete_after source.enabled source.folder source.host source.id source.interval source.into source.large source.leave_on_server source.max_size source.password source.port source.protocol source.security source.username status tls tls.certificate tls.key tls.plaintext_login' -- "$cur") ;;
  none) ;;
  *) mapfile -t COMPREPLY < <(compgen -W "${kind//|/ }" -- "$cur") ;;
  esac
}
complete -F _pillarbox pillarbox
