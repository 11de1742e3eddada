# A client for the conformance suite, which says where its server is: the official Python client behind the gate.
# $1 is the program under test, $2 a Python that has the client, $3 the client, $4 its calls, $5 the address.
# Where $1 is `directly` there is no gate between.
set -e
if [ "$1" = directly ]; then
  echo "[{\"how\": \"http\", \"where\": [\"$5\", \"none\"], \"calls\": $4, \"accepts\": true}]" | "$2" "$3"
  exit
fi
at=$(echo "$5" | sed -e s/localhost/127.0.0.1/ | cut -d/ -f3)
cat > "$HOME/.config/ringfence/policy.cedar" <<P
permit (principal == Agent::"suite", action == Action::"net.connect", resource == Endpoint::"$at");
permit (principal, action in Action::"tool.call", resource);
P
"$1" mcp add suite "$(echo "$5" | sed -e s/localhost/127.0.0.1/)" --yes
echo "[{\"how\": \"stdio\", \"where\": [\"$1\", \"mcp\", \"run\"], \"calls\": $4, \"accepts\": true}]" | "$2" "$3"
