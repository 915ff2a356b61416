# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_eyrie_global_optspecs
    string join \n h/help V/version
end

function __fish_eyrie_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_eyrie_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_eyrie_using_subcommand
    set -l cmd (__fish_eyrie_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c eyrie -n "__fish_eyrie_needs_command" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_needs_command" -s V -l version -d 'Print version'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "run" -d 'Serve: prints the URLs and then `ready`, logs on stderr'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "check" -d 'Say what is wrong with a config; exits with 1 if anything is'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "devices" -d 'List cameras and sound cards'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "control" -d 'Read or set a control of a camera of the running server'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "move" -d 'Send the viewers of a stream to its relay'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "nftables" -d 'Print rules for nftables that let in what a config serves'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "passwd" -d 'Print a [[user]] block for the config'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "self-test" -d 'Print digests of what the encoders make of the test pattern: the same on every machine'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "status" -d 'Say how the running server fares and who watches'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "reload" -d 'Make the running server read its config anew; exits with 1 if it is refused'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "unban" -d 'Let addresses in again that were locked out for wrong passwords'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "set" -d 'Change one key of the config, comments kept, and reload'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "stream" -d 'Add a stream to the config or remove one, and reload'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "user" -d 'Add a user to the config or remove one, and reload'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "doctor" -d 'Say what is wrong with this installation and how to mend it, and by which URLs to watch; exits with 1 if anything is'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "bench" -d 'Find out how fast this board codes pictures and how many viewers it serves'
complete -c eyrie -n "__fish_eyrie_needs_command" -f -a "setup" -d 'Apply the file that a card was prepared with; the image does so at boot'
complete -c eyrie -n "__fish_eyrie_using_subcommand run" -l config -d 'The config; left out, /etc/eyrie/eyrie.toml, and without that the built-in defaults' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand run" -l anonymous -d 'Let anybody view, without a password'
complete -c eyrie -n "__fish_eyrie_using_subcommand run" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand check" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand devices" -l json -d 'For programs'
complete -c eyrie -n "__fish_eyrie_using_subcommand devices" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand control" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand control" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand control" -l json -d 'For programs'
complete -c eyrie -n "__fish_eyrie_using_subcommand control" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand move" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand move" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand move" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand nftables" -l config -d 'The same, as `eyrie run` has it' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand nftables" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand passwd" -l stdin -d 'Read the password from the first line of stdin instead of asking for it'
complete -c eyrie -n "__fish_eyrie_using_subcommand passwd" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand self-test" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand status" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand status" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand status" -l json -d 'For programs'
complete -c eyrie -n "__fish_eyrie_using_subcommand status" -l watch -d 'Again every second, until it is ended'
complete -c eyrie -n "__fish_eyrie_using_subcommand status" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand reload" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand reload" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand reload" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand unban" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand unban" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand unban" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand set" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand set" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand set" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and not __fish_seen_subcommand_from add remove" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and not __fish_seen_subcommand_from add remove" -f -a "add" -d 'Serve another stream; what is left out has its default'
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and not __fish_seen_subcommand_from add remove" -f -a "remove" -d 'Serve it no longer; its camera stays in the config'
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l camera -d 'The camera that it shows, as the config names it' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l device -d 'Where a camera is that the config does not name yet, as `eyrie devices` lists it' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l size -d 'Such as 640x360' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l bitrate -d 'Such as 500k' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l codec -d 'h264, or copy for what the camera itself encodes' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l microphone -d 'The microphone that it lets hear, as the config names it' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from remove" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from remove" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand stream; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and not __fish_seen_subcommand_from add remove" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and not __fish_seen_subcommand_from add remove" -f -a "add" -d 'Let a user in; asks for the password'
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and not __fish_seen_subcommand_from add remove" -f -a "remove" -d 'Let a user in no longer'
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from add" -l role -d 'view, talk or admin' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from add" -l streams -d 'Which streams, such as main,sub' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from add" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from add" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from add" -l stdin -d 'Read the password from the first line of stdin instead of asking for it'
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from remove" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from remove" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand user; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand doctor" -l config -d 'The server with this config' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand doctor" -l socket -d 'The server with this control socket' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand doctor" -l json -d 'For programs'
complete -c eyrie -n "__fish_eyrie_using_subcommand doctor" -l watch -d 'Look again every five seconds'
complete -c eyrie -n "__fish_eyrie_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand bench" -l most -d 'The most viewers that are tried' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand bench" -l seconds -d 'How long each encoder and each number of viewers is tried' -r
complete -c eyrie -n "__fish_eyrie_using_subcommand bench" -l encoders -d 'Only how fast encoders code'
complete -c eyrie -n "__fish_eyrie_using_subcommand bench" -l viewers -d 'Only how many viewers are served'
complete -c eyrie -n "__fish_eyrie_using_subcommand bench" -s h -l help -d 'Print help'
complete -c eyrie -n "__fish_eyrie_using_subcommand setup" -l root -d 'Where the system\'s files are' -r -F
complete -c eyrie -n "__fish_eyrie_using_subcommand setup" -s h -l help -d 'Print help'
