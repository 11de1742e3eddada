# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ringfence_global_optspecs
    string join \n color= h/help V/version
end

function __fish_ringfence_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ringfence_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ringfence_using_subcommand
    set -l cmd (__fish_ringfence_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ringfence -n "__fish_ringfence_needs_command" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_needs_command" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "run" -d 'Start an agent under the policy'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "warm" -d 'Keep worlds ready for this project, so that `run --warm` starts sooner'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "parked" -d 'Wait for a session, as `warm` has its processes do'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "init" -d 'Write a policy that fits this project, and trust it'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "policy" -d 'Check, test, plan, show, edit or reload the policy'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "decide" -d 'Decide one request: JSON on stdin, verdict as JSON on stdout'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "explain" -d 'Say why an act was decided as it was, and what would have to change'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "suggest" -d 'Turn a session\'s denials into the smallest change of the policy, as a diff; changes nothing'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "trust" -d 'Let a project\'s policy count, as it is now'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "untrust" -d 'Take back the trust in a project\'s policy'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "approve" -d 'Answer the questions that wait for a person, from another terminal than the session\'s'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "grant" -d 'Permit something for a session, for a time or always'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "grants" -d 'List or revoke grants'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "sessions" -d 'List the sessions of this user'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "show" -d 'Show what happened in a session'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "review" -d 'Look at what a session changed under review, commit it or throw it away'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "log" -d 'Read or verify the log'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "export" -d 'Write what a session recorded in a format of other programs'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "net" -d 'Say what would become of a connection'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "secret" -d 'Keep secrets that agents use and never hold'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "mcp" -d 'Serve agents the tools of MCP servers, each call decided, each server in a world of its own'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "doctor" -d 'Say what this machine can enforce, and what is missing'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "world" -d 'Find out whether worlds hold on this machine'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "sandbox" -d 'Start every known agent on this account under Ringfence'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "demo" -d 'Watch a small scripted agent do allowed and forbidden things'
complete -c ringfence -n "__fish_ringfence_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l policy -d 'Policy file that stands in for the user\'s and the project\'s; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l agent -d 'The agent\'s identity in the policy [default: the command\'s base name]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l tier -d 'How the world is isolated: `namespaces`; `oci`, which makes the same within a container of an image; `landlock`, which needs no namespaces and holds less (`doctor` says what); or, both advisory, `ptrace`, where a tracer stops programs and asks, and `preload`, where a library in them asks [default: as `[world] tier` of the settings has it, else namespaces]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l image -d 'Of which image the container of the tier `oci` is, as podman or docker has it; none is fetched [default: as `[world] image` of the settings has it]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l seccomp -d 'Which system calls the world may make: `default`, `strict`, `build` (processes inside may trace each other) or `browser` (namespaces may be made inside) [default: as `[world] seccomp` of the settings has it, else default]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l publish -d 'Let this host\'s 127.0.0.1:PORT lead to the same port of the world\'s localhost, or HOST_PORT:PORT to another; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l trace -d 'Record more than acts, at a price: `files` has which files each process opens to read, `full` also what each used to its last moment' -r -f -a "files\t'Files that are opened to read, and those that are not there because no rule grants them'
full\t'The same, and how each process ended with all that it used, to its last moment'"
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l server-of -d 'What `mcp run` says of itself where it starts a server: the session ends with that process, and its world has the variables that `RINGFENCE_SERVER_ENV` holds, as an object of JSON' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l wasm -d 'Run a WASM module, with its arguments (those that begin with `-` after `--`), in a world in which it finds open what the policy grants, and no network' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l why -d 'For a command that does not work in its world: as --trace=files, and say at the end what it tried to read and may not, with what would let it'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l review -d 'Keep all changes aside: nothing reaches the host\'s files until `ringfence review commit`'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l warm -d 'Take a world that `ringfence warm` keeps ready for this project; where none fits, start as usual and say why'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l json -d 'Write the closing summary as one JSON object to stderr'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -l ends-soon -d 'What `mcp add` and `mcp test` say of a server besides: nothing can be granted to a session that is over soon'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand run" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -l worlds -d 'How many worlds wait at a time, 1 to 16' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -l for -d 'End after this time, like 8h [default: when it is stopped]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -l policy -d 'Policy file that stands in for the user\'s and the project\'s, as for `run`; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -f -a "status" -d 'Say for which projects worlds are kept ready; exit 1 where for none'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -f -a "stop" -d 'Keep none ready any more; sessions that run in one go on'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and not __fish_seen_subcommand_from status stop help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from status" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from status" -l json -d 'Print JSON, one project a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from stop" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from stop" -l all -d 'For every project of this user, not only for this one'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from stop" -l json -d 'Print JSON, one project a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from stop" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say for which projects worlds are kept ready; exit 1 where for none'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Keep none ready any more; sessions that run in one go on'
complete -c ringfence -n "__fish_ringfence_using_subcommand warm; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand parked" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand parked" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand parked" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand init" -l agent -d 'The agent to write a policy for [default: the one that is installed]' -r -f -a "claude-code\t'Claude Code'
codex\t'Codex'
generic\t'Any other'"
complete -c ringfence -n "__fish_ringfence_using_subcommand init" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand init" -l force -d 'Overwrite a policy that exists'
complete -c ringfence -n "__fish_ringfence_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand init" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "check" -d 'Check that the policy is well-formed'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "test" -d 'Run a table of requests and compare the decisions'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "plan" -d 'Show what the policy means for files, and what is decided act by act'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "show" -d 'Show the sets in force, with their digests and rules'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "schema" -d 'Print the Cedar schema that policies are checked against, with the arguments of all tools that are pinned'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "edit" -d 'Edit the project\'s policy, check it, and trust what was saved'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "reload" -d 'Let running sessions load the policy anew'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and not __fish_seen_subcommand_from check test plan show schema edit reload help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from check" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from check" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from test" -l policy -d 'Policy file to test in place of the policy in force here; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from test" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from test" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from plan" -l agent -d 'The agent to plan for' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from plan" -l policy -d 'Policy file that stands in for the user\'s and the project\'s; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from plan" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from plan" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from plan" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from schema" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from schema" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from edit" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from edit" -l user -d 'Edit the user\'s policy, which holds in every project'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from edit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from edit" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from reload" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from reload" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from reload" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check that the policy is well-formed'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "test" -d 'Run a table of requests and compare the decisions'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "plan" -d 'Show what the policy means for files, and what is decided act by act'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the sets in force, with their digests and rules'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print the Cedar schema that policies are checked against, with the arguments of all tools that are pinned'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "edit" -d 'Edit the project\'s policy, check it, and trust what was saved'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "reload" -d 'Let running sessions load the policy anew'
complete -c ringfence -n "__fish_ringfence_using_subcommand policy; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand decide" -l policy -d 'Policy file that stands in for the user\'s and the project\'s; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand decide" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand decide" -l json -d 'Print JSON (it always does)'
complete -c ringfence -n "__fish_ringfence_using_subcommand decide" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand decide" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand explain" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand explain" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand explain" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand suggest" -l policy -d 'Policy file to change [default: those that the session ran with, else the project\'s]; may be repeated, the last one is changed' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand suggest" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand suggest" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand suggest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand suggest" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand trust" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand trust" -l yes -d 'Do not ask for confirmation'
complete -c ringfence -n "__fish_ringfence_using_subcommand trust" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand trust" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand trust" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand untrust" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand untrust" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand untrust" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand untrust" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -l refuse -d 'Refuse it'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -l for-session -d 'Allow it, and grant what it offers for the rest of the session'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -l yes -d 'Do not ask for confirmation'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -l watch -d 'Go on, and ask each question that comes'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -l json -d 'Print the questions that wait as JSON, one per line'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand approve" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l session -d 'For one running session [default: the only one]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l for -d 'For a time, like 30m, 2h or 1d' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l always -d 'For all sessions of this project'
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l everywhere -d 'For all sessions of this user, in every project'
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l yes -d 'Do not ask for confirmation'
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand grant" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and not __fish_seen_subcommand_from list revoke help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and not __fish_seen_subcommand_from list revoke help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and not __fish_seen_subcommand_from list revoke help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and not __fish_seen_subcommand_from list revoke help" -f -a "list" -d 'List the grants in force'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and not __fish_seen_subcommand_from list revoke help" -f -a "revoke" -d 'Revoke a grant, in running sessions too'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and not __fish_seen_subcommand_from list revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, one grant a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from revoke" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from revoke" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from revoke" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the grants in force'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke a grant, in running sessions too'
complete -c ringfence -n "__fish_ringfence_using_subcommand grants; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand sessions" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sessions" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand sessions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sessions" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -l tree -d 'The processes alone, as a tree: what each used and changed, and what it was denied'
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -l timeline -d 'One line per process along the time, with what was denied between them'
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -l json -d 'Print JSON; with --follow one object per entry, as `log show --json` does'
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -l follow -d 'Go on while the session runs: one line per entry; a tree or timeline is drawn anew'
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand show" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "list" -d 'List the sessions whose changes wait, newest first'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "show" -d 'Show what a session changed: what to look at first, then all differences'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "commit" -d 'Bring changes to the host\'s files'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "drop" -d 'Throw away all that waits of a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "checkpoint" -d 'Keep what a running session has changed so far, to come back to it'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "rollback" -d 'Take what a running session has changed back to a checkpoint'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "checkpoints" -d 'List the checkpoints of a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and not __fish_seen_subcommand_from list show commit drop checkpoint rollback checkpoints help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from list" -l json -d 'Print JSON Lines'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from show" -l stat -d 'Print no differences, but how many lines came and went'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from show" -l all -d 'Name each file in node_modules, target, .git/objects and the like, too'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from show" -l json -d 'Print JSON, which has everything'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from commit" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from commit" -l yes -d 'Commit without being asked'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from commit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from commit" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from drop" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from drop" -l yes -d 'Throw away without being asked'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from drop" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoint" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoint" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from rollback" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from rollback" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoints" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoints" -l json -d 'Print JSON Lines'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoints" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from checkpoints" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the sessions whose changes wait, newest first'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what a session changed: what to look at first, then all differences'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "commit" -d 'Bring changes to the host\'s files'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Throw away all that waits of a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "checkpoint" -d 'Keep what a running session has changed so far, to come back to it'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Take what a running session has changed back to a checkpoint'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "checkpoints" -d 'List the checkpoints of a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand review; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and not __fish_seen_subcommand_from show verify help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and not __fish_seen_subcommand_from show verify help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and not __fish_seen_subcommand_from show verify help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and not __fish_seen_subcommand_from show verify help" -f -a "show" -d 'Print a session\'s entries'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and not __fish_seen_subcommand_from show verify help" -f -a "verify" -d 'Verify that nothing in the log was changed'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and not __fish_seen_subcommand_from show verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from show" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from show" -l follow -d 'Go on while the session runs'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print a session\'s entries'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Verify that nothing in the log was changed'
complete -c ringfence -n "__fish_ringfence_using_subcommand log; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and not __fish_seen_subcommand_from har otlp help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and not __fish_seen_subcommand_from har otlp help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and not __fish_seen_subcommand_from har otlp help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and not __fish_seen_subcommand_from har otlp help" -f -a "har" -d 'Write a session\'s requests and connections as an HTTP archive (HAR 1.2)'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and not __fish_seen_subcommand_from har otlp help" -f -a "otlp" -d 'Write a session\'s processes and connections as an OpenTelemetry trace (OTLP in JSON)'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and not __fish_seen_subcommand_from har otlp help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from har" -l output -d 'Write to this file, for you alone to read, in place of stdout' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from har" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from har" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from har" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from otlp" -l output -d 'Write to this file, for you alone to read, in place of stdout' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from otlp" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from otlp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from otlp" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from help" -f -a "har" -d 'Write a session\'s requests and connections as an HTTP archive (HAR 1.2)'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from help" -f -a "otlp" -d 'Write a session\'s processes and connections as an OpenTelemetry trace (OTLP in JSON)'
complete -c ringfence -n "__fish_ringfence_using_subcommand export; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and not __fish_seen_subcommand_from test help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and not __fish_seen_subcommand_from test help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and not __fish_seen_subcommand_from test help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and not __fish_seen_subcommand_from test help" -f -a "test" -d 'Say whether a connection would be made and a request sent, and why; none is'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and not __fish_seen_subcommand_from test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -l method -d 'The method of a request to that URL; it has no body and no headers [default: GET]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -l age -d 'How old the release is that a URL of a registry\'s names, like 12h or 30d [default: new, as what nobody knows the age of]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -l agent -d 'The agent\'s identity in the policy' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -l policy -d 'Policy file that stands in for the user\'s and the project\'s; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from help" -f -a "test" -d 'Say whether a connection would be made and a request sent, and why; none is'
complete -c ringfence -n "__fish_ringfence_using_subcommand net; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -f -a "add" -d 'Keep a secret; its value is read from stdin, or asked for'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -f -a "list" -d 'List the secrets and what they are bound to; no values'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -f -a "test" -d 'Say whether a secret can be read, and what would become of its use'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -f -a "rotate" -d 'Replace a secret\'s value; it is read from stdin, or asked for'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -f -a "remove" -d 'Forget a secret'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and not __fish_seen_subcommand_from add list test rotate remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l from -d 'Where its value is, in place of being asked for: env:VARIABLE, which no world is given then, keyring:SERVICE/ACCOUNT, or a place in a vault' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l ttl -d 'For how long a value of a vault is used before it is asked for anew, and lent, like 15m or 1h' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l kind -d 'The service it is for, which says where it stands in requests and in the environment' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l for -d 'Where requests with it may go: HOST, HOST:PORT or *.DOMAIN; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l header -d 'The header it stands in, with what stands before it: \'authorization: Bearer\'; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l query -d 'The query parameter it stands in; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l methods -d 'Methods of requests with it [default: all but TRACE and CONNECT]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l path -d 'Path of requests with it, and all beneath it; `*` stands for any characters; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l env -d 'Environment variable in which programs of a world find what stands in for it; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l file -d 'File in which programs of a world find what stands in for it; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l basic -d 'It is the user name or the password of basic authentication'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, one secret a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -l method -d 'The method of a request with it [default: the first it is bound to, or GET]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -l path -d 'The path of a request with it [default: the first it is bound to, or /]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -l agent -d 'The agent\'s identity in the policy' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -l policy -d 'Policy file that stands in for the user\'s and the project\'s; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from rotate" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from rotate" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from remove" -l revoke-grants -d 'Revoke the grants that name it too, in running sessions as well'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from remove" -l yes -d 'Do not ask, where a server or a rule needs it'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "add" -d 'Keep a secret; its value is read from stdin, or asked for'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the secrets and what they are bound to; no values'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "test" -d 'Say whether a secret can be read, and what would become of its use'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Replace a secret\'s value; it is read from stdin, or asked for'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Forget a secret'
complete -c ringfence -n "__fish_ringfence_using_subcommand secret; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "run" -d 'Serve an agent the tools of servers: MCP on stdin and stdout, every call decided'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "serve" -d 'Serve agents the tools of servers over HTTP: each client with servers of its own'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "add" -d 'Start a server in a world, look at its tools, and pin them'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "import" -d 'Take over the servers that other clients start'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "list" -d 'List the servers and how many tools each has'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "inspect" -d 'Show the tools of a server that are pinned, and what their arguments are for'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "login" -d 'Log in at a server behind an address, by your browser'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "logout" -d 'Forget the login at a server'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "test" -d 'Start servers and compare them with what is pinned; or call a tool of one as an agent would'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "remove" -d 'Forget a server'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and not __fish_seen_subcommand_from run serve add import list inspect login logout test remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from run" -l agent -d 'The agent that calls, as the policy names it' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from run" -l policy -d 'Policy file that stands in for the user\'s and the project\'s, as for `run`; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from run" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -l agent -d 'The agent that calls, as the policy names it' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -l listen -d 'An address of the loopback, or a socket as unix:PATH' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -l token-file -d 'The file that has the token; one is made where it is left out' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -l allow-origin -d 'A web page that may ask as well, as its browser names it: https://app.example; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -l policy -d 'Policy file that stands in for the user\'s and the project\'s, as for `run`; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from serve" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l header -d 'What is sent with each request to a URL; `${secret:NAME}` stands for a secret; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l client-id -d 'What the issuer of its logins calls you, where it wants one and does not let clients make themselves known' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l client-secret -d 'The secret that its issuer gave to that client, as `ringfence secret` keeps it' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l env -d 'A variable of the server\'s environment; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l policy -d 'Policy file that stands in for the user\'s and the project\'s, as for `run`; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l agent -d 'The agent that the proposed policy is for [default: all]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l project -d 'Into the project\'s `.ringfence`, for everybody who works on it; one that was trusted stays so'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l no-policy -d 'Propose no policy'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l yes -d 'Do not ask: pin what it says, and change the policy as proposed. What a start that failed was denied is shown, and neither given nor written: nobody has looked at it'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l client -d 'Of this client alone: claude, claude-desktop, cursor, vscode, codex or gemini' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l from -d 'From this file alone' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l as -d 'Take over what a client calls NAME as OTHER, where a server is called NAME already; may be repeated' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l all -l yes -d 'Do not ask: take over all that can be; with `--undo`, put all back'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l no-policy -d 'Propose no policy'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l undo -d 'Put the clients\' files back as they were'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -l json -d 'Print JSON; without `--all`, only what there is'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from import" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from list" -l agent -d 'Which tools this agent sees, which it does not, and why' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from list" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from list" -l json -d 'Print JSON, one server a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from inspect" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from inspect" -l diff -d 'Start it, and say how its tools differ from what is pinned; exit 1 where they do'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from inspect" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from inspect" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l client-id -d 'What its issuer calls you, where it knows you: a name, or the address of a document about the client' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l client-secret -d 'The secret that its issuer gave to that client, as `ringfence secret` keeps it' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l scope -d 'What the login is for, in place of what the server asks for' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l port -d 'The port of this host that the browser comes back to [default: any]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l no-browser -d 'Open no browser: only print the address'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -l yes -d 'Do not ask: change the policy as proposed, and log in'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from login" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from logout" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from logout" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from test" -l agent -d 'The agent that calls, as the policy names it [default: mcp-client]' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from test" -l policy -d 'Policy file that stands in for the user\'s and the project\'s, as for `run`; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from test" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from test" -l json -d 'Print JSON, one server a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from test" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l project -d 'The project\'s, in place of your own'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from remove" -l yes -d 'Do not ask: take the rules out that `mcp add` wrote for it and nobody has changed'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "run" -d 'Serve an agent the tools of servers: MCP on stdin and stdout, every call decided'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Serve agents the tools of servers over HTTP: each client with servers of its own'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "add" -d 'Start a server in a world, look at its tools, and pin them'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "import" -d 'Take over the servers that other clients start'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the servers and how many tools each has'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show the tools of a server that are pinned, and what their arguments are for'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "login" -d 'Log in at a server behind an address, by your browser'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "logout" -d 'Forget the login at a server'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "test" -d 'Start servers and compare them with what is pinned; or call a tool of one as an agent would'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Forget a server'
complete -c ringfence -n "__fish_ringfence_using_subcommand mcp; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand doctor" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand doctor" -l json -d 'Print JSON, which has everything'
complete -c ringfence -n "__fish_ringfence_using_subcommand doctor" -l all -d 'Print in full also what is in order, and what each tier does not hold'
complete -c ringfence -n "__fish_ringfence_using_subcommand doctor" -l fix -d 'Print what to run or install; changes nothing'
complete -c ringfence -n "__fish_ringfence_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and not __fish_seen_subcommand_from verify attack help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and not __fish_seen_subcommand_from verify attack help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and not __fish_seen_subcommand_from verify attack help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and not __fish_seen_subcommand_from verify attack help" -f -a "verify" -d 'Try every attack on a world, after it has worked outside, and say what held'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and not __fish_seen_subcommand_from verify attack help" -f -a "attack" -d 'Try an attack where this process is'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and not __fish_seen_subcommand_from verify attack help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -l policy -d 'Policy file that stands in for the user\'s and the project\'s; may be repeated' -r -F
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -l tier -d 'How the world is isolated, as for `run`' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -l image -d 'Of which image the container of the tier `oci` is, as for `run`' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -l seccomp -d 'Which system calls the world may make, as for `run`' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON, one attack a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from attack" -l only -d 'This attack alone' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from attack" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from attack" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from attack" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Try every attack on a world, after it has worked outside, and say what held'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from help" -f -a "attack" -d 'Try an attack where this process is'
complete -c ringfence -n "__fish_ringfence_using_subcommand world; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -f -a "status" -d 'Say which agents and shells of this account are covered, and what is not'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -f -a "enable" -d 'Start known agents under Ringfence from now on, in bash, zsh and fish'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -f -a "disable" -d 'Take away exactly what `enable` has put in'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -f -a "logs" -d 'Show what was refused over the last sessions'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -f -a "start" -d 'Start an agent as its stand-in does'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and not __fish_seen_subcommand_from status enable disable logs start help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l json -d 'Print JSON'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from enable" -l shell -d 'This shell alone; may be repeated [default: those that are installed]' -r -f -a "bash\t'GNU bash'
zsh\t'The Z shell'
fish\t'fish'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from enable" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from enable" -l dry-run -d 'Show what would change, and change nothing'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from enable" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from disable" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from disable" -l dry-run -d 'Show what would change, and change nothing'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from disable" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l last -d 'How many sessions, from the last one back' -r
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -l json -d 'Print JSON, one session a line'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from logs" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from start" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from start" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "status" -d 'Say which agents and shells of this account are covered, and what is not'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Start known agents under Ringfence from now on, in bash, zsh and fish'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Take away exactly what `enable` has put in'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "logs" -d 'Show what was refused over the last sessions'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "start" -d 'Start an agent as its stand-in does'
complete -c ringfence -n "__fish_ringfence_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand demo" -l color -d 'When to use colour; it never carries meaning alone' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c ringfence -n "__fish_ringfence_using_subcommand demo" -l keep -d 'Keep the demo\'s directory and print where it is'
complete -c ringfence -n "__fish_ringfence_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringfence -n "__fish_ringfence_using_subcommand demo" -s V -l version -d 'Print version'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "run" -d 'Start an agent under the policy'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "warm" -d 'Keep worlds ready for this project, so that `run --warm` starts sooner'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "parked" -d 'Wait for a session, as `warm` has its processes do'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "init" -d 'Write a policy that fits this project, and trust it'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "policy" -d 'Check, test, plan, show, edit or reload the policy'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "decide" -d 'Decide one request: JSON on stdin, verdict as JSON on stdout'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "explain" -d 'Say why an act was decided as it was, and what would have to change'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "suggest" -d 'Turn a session\'s denials into the smallest change of the policy, as a diff; changes nothing'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "trust" -d 'Let a project\'s policy count, as it is now'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "untrust" -d 'Take back the trust in a project\'s policy'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "approve" -d 'Answer the questions that wait for a person, from another terminal than the session\'s'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "grant" -d 'Permit something for a session, for a time or always'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "grants" -d 'List or revoke grants'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "sessions" -d 'List the sessions of this user'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "show" -d 'Show what happened in a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "review" -d 'Look at what a session changed under review, commit it or throw it away'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "log" -d 'Read or verify the log'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "export" -d 'Write what a session recorded in a format of other programs'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "net" -d 'Say what would become of a connection'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "secret" -d 'Keep secrets that agents use and never hold'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "mcp" -d 'Serve agents the tools of MCP servers, each call decided, each server in a world of its own'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "doctor" -d 'Say what this machine can enforce, and what is missing'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "world" -d 'Find out whether worlds hold on this machine'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "sandbox" -d 'Start every known agent on this account under Ringfence'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "demo" -d 'Watch a small scripted agent do allowed and forbidden things'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and not __fish_seen_subcommand_from run warm parked init policy decide explain suggest trust untrust approve grant grants sessions show review log export net secret mcp doctor world sandbox demo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from warm" -f -a "status" -d 'Say for which projects worlds are kept ready; exit 1 where for none'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from warm" -f -a "stop" -d 'Keep none ready any more; sessions that run in one go on'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "check" -d 'Check that the policy is well-formed'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "test" -d 'Run a table of requests and compare the decisions'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "plan" -d 'Show what the policy means for files, and what is decided act by act'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "show" -d 'Show the sets in force, with their digests and rules'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "schema" -d 'Print the Cedar schema that policies are checked against, with the arguments of all tools that are pinned'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "edit" -d 'Edit the project\'s policy, check it, and trust what was saved'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from policy" -f -a "reload" -d 'Let running sessions load the policy anew'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from grants" -f -a "list" -d 'List the grants in force'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from grants" -f -a "revoke" -d 'Revoke a grant, in running sessions too'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "list" -d 'List the sessions whose changes wait, newest first'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "show" -d 'Show what a session changed: what to look at first, then all differences'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "commit" -d 'Bring changes to the host\'s files'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "drop" -d 'Throw away all that waits of a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "checkpoint" -d 'Keep what a running session has changed so far, to come back to it'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "rollback" -d 'Take what a running session has changed back to a checkpoint'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from review" -f -a "checkpoints" -d 'List the checkpoints of a session'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from log" -f -a "show" -d 'Print a session\'s entries'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from log" -f -a "verify" -d 'Verify that nothing in the log was changed'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from export" -f -a "har" -d 'Write a session\'s requests and connections as an HTTP archive (HAR 1.2)'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from export" -f -a "otlp" -d 'Write a session\'s processes and connections as an OpenTelemetry trace (OTLP in JSON)'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from net" -f -a "test" -d 'Say whether a connection would be made and a request sent, and why; none is'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "add" -d 'Keep a secret; its value is read from stdin, or asked for'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "list" -d 'List the secrets and what they are bound to; no values'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "test" -d 'Say whether a secret can be read, and what would become of its use'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "rotate" -d 'Replace a secret\'s value; it is read from stdin, or asked for'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from secret" -f -a "remove" -d 'Forget a secret'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "run" -d 'Serve an agent the tools of servers: MCP on stdin and stdout, every call decided'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "serve" -d 'Serve agents the tools of servers over HTTP: each client with servers of its own'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "add" -d 'Start a server in a world, look at its tools, and pin them'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "import" -d 'Take over the servers that other clients start'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "list" -d 'List the servers and how many tools each has'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "inspect" -d 'Show the tools of a server that are pinned, and what their arguments are for'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "login" -d 'Log in at a server behind an address, by your browser'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "logout" -d 'Forget the login at a server'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "test" -d 'Start servers and compare them with what is pinned; or call a tool of one as an agent would'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from mcp" -f -a "remove" -d 'Forget a server'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from world" -f -a "verify" -d 'Try every attack on a world, after it has worked outside, and say what held'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from world" -f -a "attack" -d 'Try an attack where this process is'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "status" -d 'Say which agents and shells of this account are covered, and what is not'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "enable" -d 'Start known agents under Ringfence from now on, in bash, zsh and fish'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "disable" -d 'Take away exactly what `enable` has put in'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "logs" -d 'Show what was refused over the last sessions'
complete -c ringfence -n "__fish_ringfence_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "start" -d 'Start an agent as its stand-in does'
