# Run by original.rs in a network namespace of its own: what each of these connections gets. $1 is the
# proxy, $2 an empty folder.
set -eu
ip link set lo up
for address in 10.77.0.1/32 10.77.0.2/32 fd77::1/128 fd77::2/128; do ip address add "$address" dev lo; done
for route in 169.254.169.254 10.77.9.9 fd00:ec2::254; do ip route add "$route" dev lo; done
nft -f - <<'RULES'
table inet test {
    chain out {
        type nat hook output priority -100
        ip daddr 169.254.169.254 tcp dport { 80, 81 } redirect to :9337
        ip6 daddr fd00:ec2::254 tcp dport 80 redirect to :9337
        ip daddr 10.77.9.9 tcp dport 80 redirect to :9337
    }
}
RULES
mkfifo "$2/said"
"$1" run --listen '[::]:9337' --upstream http://127.0.0.1:1 --ledger "$2/ledger" >"$2/said" &
proxy=$!
trap 'kill "$proxy"' EXIT
read -r ready <"$2/said"
ask() { # NAME URL CURL'S...
    name=$1 url=$2/latest/meta-data/iam/security-credentials/role
    shift 2
    code=$(curl -q -g -s -o /dev/null -w '%{http_code}' --max-time 20 -H 'Host: 169.254.169.254' "$@" "$url") || true
    echo "$name $code"
}
ask imds http://169.254.169.254
ask imds-v6 'http://[fd00:ec2::254]'
ask itself http://127.0.0.1:9337
ask own-address http://10.77.0.1:9337
# Any address but the one that it came to is the network's for all that the proxy knows.
ask network http://10.77.0.1:9337 --interface 10.77.0.2
ask network-v6 'http://[fd77::1]:9337' --interface fd77::2
ask other-port http://169.254.169.254:81
ask elsewhere http://10.77.9.9
