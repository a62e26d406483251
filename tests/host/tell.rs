//! Messages reach people over real TLS: what a person has to see to, what was mended, and what became of a run that nobody watched.

use crate::support::Host;

/// Keeps each message that is posted to it, one a line.
const SERVER: &str = r#"
import http.server, ssl
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open("/tls/heard", "a") as heard:
            heard.write(self.path + " " + text.replace("\n", " ") + "\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 8443), Hook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/cert.pem", "/tls/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

const TOKEN: &str = "AbCd-4711-token";

/// A host that tells an address whose certificate is signed by this host's own authority.
fn with_hook(test: &str) -> Host {
    let host = Host::converged(test);
    host.write("/root/tls/hook.py", SERVER);
    host.ok(
        "set -e; cd /root/tls; echo '127.0.0.1 hook.example' >> /etc/hosts
         openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=hook.example' -keyout key.pem -out cert.pem \
           -addext subjectAltName=DNS:hook.example
         podman run -d --name hook --network host -v /root/tls:/tls --entrypoint python3 docker.io/standin/apple:1 -u /tls/hook.py",
    );
    host.wait_for("ss -tln | grep -q 127.0.0.1:8443", 60);
    host.configure(
        "[notify]\nurl_secret = \"photos-notify-url\"\nkind = \"gotify\"\n\
         [[icloud.account]]\nname = \"anna\"\napple_id = \"anna@example.org\"\n",
    );
    host.ok(&format!("echo 'https://hook.example:8443/message?token={TOKEN}' | photos-agent secret set notify-url"));
    host.ok("photos-agent apply");
    host
}

/// How many messages came with this in them.
fn heard(host: &Host, what: &str) -> usize {
    host.ok(&format!("touch /root/tls/heard; grep -cF -- '{what}' /root/tls/heard || true")).parse().unwrap()
}

fn wait(host: &Host, what: &str) {
    host.wait_for(&format!("grep -qF -- '{what}' /root/tls/heard"), 90);
}

#[test]
fn messages_reach_people_and_nobody_who_is_not_who_the_address_says() {
    let host = with_hook("tell");
    // Nobody vouches for the other side yet.
    host.fails(1, "systemctl start photos-icloud@anna.service");
    host.wait_for(
        "journalctl -q -t photos-agent -o cat | grep -q 'photos-notify-url was not told: cannot be reached'",
        90,
    );
    assert_eq!(heard(&host, "message"), 0);
    host.ok(
        "cp /root/tls/cert.pem /usr/local/share/ca-certificates/hook.crt && update-ca-certificates >/dev/null 2>&1",
    );
    // Nobody has signed in: told once, whatever the timer does.
    for _ in 0..2 {
        host.fails(1, "systemctl start photos-icloud@anna.service");
    }
    wait(&host, "photos-agent icloud login anna");
    assert_eq!((heard(&host, "photos-agent icloud login anna"), heard(&host, TOKEN)), (1, 1));

    host.ok("systemctl start photos-agent");
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q ^converged", 60);
    // Something that a person has to see to.
    let foreign = "/etc/containers/systemd/theirs/immich-ml.container";
    host.write(foreign, "[Container]\n");
    wait(&host, "a person has to see to this host");
    assert_eq!(heard(&host, &format!("mv {foreign} {foreign}.aside")), 1);
    host.ok(&format!("rm {foreign}"));
    host.wait_for("systemctl show -P StatusText photos-agent | grep -q ^converged", 60);
    // Something that was put right.
    host.ok("rm /etc/containers/systemd/photos-agent/immich-ml.container");
    wait(&host, "was put right: write /etc/containers");
    // The address is as good as a password.
    host.ok("systemctl stop photos-agent");
    let found = host.run(&format!(
        "journalctl -q --no-pager _SYSTEMD_UNIT=photos-agent.service + _SYSTEMD_UNIT=photos-icloud@anna.service | grep -F '{TOKEN}'; \
         grep -rlF '{TOKEN}' /etc /run/photos-agent /var/lib/photos-agent"
    ));
    assert_eq!(found.out, "");
}
