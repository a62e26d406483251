//! iCloud against a stand-in for Apple: the real icloudpd signs in, downloads, and is turned away in every way.

use serde_json::{Value, json};

use crate::support::Host;

const PASSWORD: &str = "pass-4711-word";
const CODE: &str = "246810";

/// Names that icloudpd asks for.
const NAMES: &str =
    "setup.icloud.com www.icloud.com idmsa.apple.com p01-ckdatabasews.icloud.com cvws.icloud-content.com";

/// A host with two accounts, and Apple in its network for containers.
struct Apple {
    host: Host,
}

impl Apple {
    fn new(test: &str) -> Self {
        let host = Host::converged(test);
        let account = |name: &str| {
            format!(
                "[[icloud.account]]\nname = \"{name}\"\napple_id = \"{name}@example.org\"\ntimezone = \"Europe/Vienna\"\n"
            )
        };
        host.configure(&[account("anna"), account("bob")].concat());
        host.ok("photos-agent apply");
        host.ok(&format!(
            "set -e; mkdir -p /root/tls; cd /root/tls
             openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj '/CN=the CA of this host' -keyout ca.key -out ca.pem \
               -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
             openssl req -newkey rsa:2048 -nodes -subj /CN=apple -keyout key.pem -out apple.csr
             printf 'subjectAltName=DNS:*.icloud.com,DNS:*.apple.com,DNS:*.icloud-content.com\n' > names
             openssl x509 -req -in apple.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile names -out cert.pem
             chmod 644 ca.pem; mkdir -p /etc/containers/containers.conf.d
             printf '[containers]\nenv = [\"STANDIN_CA=/tls/ca.pem\"]\nvolumes = [\"/root/tls/ca.pem:/tls/ca.pem:ro\"]\n' \
               > /etc/containers/containers.conf.d/60-standin.conf
             podman run -d --name apple --network photos-egress -v /root/tls:/tls:ro --env STANDIN_CA= docker.io/standin/apple:1
             address=$(podman inspect -f '{{{{(index .NetworkSettings.Networks \"photos-egress\").IPAddress}}}}' apple)
             echo \"$address {NAMES}\" >> /etc/hosts; echo \"$address\" > /root/apple"
        ));
        host.wait_for("curl -sf http://$(cat /root/apple):8000/", 60);
        let apple = Self { host };
        apple.control(&json!({ "set": { "password": PASSWORD, "code": CODE } }));
        apple
    }

    fn control(&self, wish: &Value) -> Value {
        let told = self.host.ok(&format!("curl -sf http://$(cat /root/apple):8000/ -d '{wish}'"));
        serde_json::from_str(&told).unwrap()
    }

    fn fail(&self, account: &str, how: Option<&str>, times: Option<u32>) {
        let account = format!("{account}@example.org");
        self.control(&json!({ "account": account, "set": { "fail": how, "fail_times": times } }));
    }

    fn count(&self, what: &str) -> u64 {
        self.control(&json!({}))["counts"][what].as_u64().unwrap_or(0)
    }

    fn login(&self, account: &str, password: &str, code: &str, exit: i32) -> String {
        self.host
            .fails(
                exit,
                &format!("printf '{password}\\n{code}\\n' | photos-agent icloud login {account} --password-stdin"),
            )
            .all()
    }

    /// What a run came to.
    fn sync(&self, account: &str, exit: i32) -> Value {
        let done = self.host.fails(exit, &format!("photos-agent icloud sync {account} --json"));
        serde_json::from_str(&done.out).unwrap()
    }

    /// Pictures of an account, each with its length.
    fn pictures(&self, account: &str) -> Vec<String> {
        let look = format!(
            "cd /var/lib/photos/live/icloud/{account} && find . -type f ! -name '.*' ! -name '*.xmp' -printf '%P %s\\n' | sort"
        );
        self.host.ok(&look).lines().map(str::to_owned).collect()
    }

    fn assert_whole(&self, account: &str, files: usize) {
        let found = self.pictures(account);
        assert!(found.len() == files && found.iter().all(|file| file.ends_with(" 60000")), "{found:#?}");
    }
}

#[test]
fn an_account_signs_in_with_a_code_and_downloads_once() {
    let apple = Apple::new("icloud");
    let host = &apple.host;
    // Nobody has signed in: said, and Apple hears nothing of it.
    assert!(host.fails(2, "photos-agent icloud status").out.contains("nobody has signed in"));
    let never = apple.sync("anna", 1);
    assert_eq!(
        (&never["result"], &never["remedy"]),
        (&json!("session_expired"), &json!("photos-agent icloud login anna"))
    );
    assert_eq!(apple.count("sign-ins"), 0);
    // A wrong password is sent once, and a wrong code leaves nothing behind.
    let wrong = apple.login("anna", "nonsense", CODE, 1);
    assert!(wrong.contains("did not take the password"), "{wrong}");
    assert_eq!((apple.count("sign-ins"), apple.count("wrong passwords")), (1, 1));
    let wrong = apple.login("anna", PASSWORD, "000000", 1);
    assert!(wrong.contains("did not take the code"), "{wrong}");
    let cookies = "find /var/lib/photos/keep/icloudpd -type f";
    assert_eq!(host.ok(cookies), "");
    assert!(apple.login("anna", PASSWORD, "", 1).contains("Nothing was changed"));
    assert_eq!(host.ok(cookies), "");

    let done = apple.login("anna", PASSWORD, CODE, 0);
    assert!(done.contains("Signed in as anna") && !done.contains(PASSWORD), "{done}");
    let run = apple.sync("anna", 0);
    assert_eq!(
        (&run["result"], &run["counts"]["downloaded"], &run["full"]),
        (&json!("done"), &json!(5), &json!(true)),
        "{run}"
    );
    apple.assert_whole("anna", 5);
    let files = apple.count("files");
    let again = apple.sync("anna", 0);
    assert_eq!((&again["counts"]["downloaded"], &again["full"]), (&json!(0), &json!(false)), "{again}");
    assert_eq!(apple.count("files"), files, "a second run downloads nothing");
    let standing = host.fails(2, "photos-agent icloud status").out;
    assert!(standing.contains("good until") && standing.contains("all is here"), "{standing}");
    // Kept aside, and nobody else's business.
    let kept = host.ok("find /var/lib/photos/keep/icloudpd/anna.good -printf '%M %y %U\\n' | sort -u");
    assert_eq!(kept, "-rw------- f 0\ndrwx------ d 0");
    crate::secrets::assert_nowhere(host, &[PASSWORD]);

    // The code on icloudpd's own page: for whoever is on this host, and nobody else.
    let mut login =
        host.start(&format!("printf '{PASSWORD}\\n' | photos-agent icloud login bob --password-stdin --web 8099"));
    host.wait_for("curl -sf http://127.0.0.1:8099/status | grep -q 'name=\"code\"'", 120);
    assert_eq!(host.ok("podman port photos-icloud-login-bob"), "8080/tcp -> 127.0.0.1:8099");
    host.fails(7, "curl -s --connect-timeout 5 http://$(hostname -I | cut -d ' ' -f 1):8099/status");
    host.ok(&format!("curl -sf -d code={CODE} http://127.0.0.1:8099/code"));
    assert!(login.wait().unwrap().success());
    // The end of a session is told of a fortnight before.
    apple.sync("bob", 0);
    host.ok("photos-agent icloud status");
    apple.control(&json!({ "account": "bob@example.org", "set": { "session_days": 13 } }));
    apple.sync("bob", 0);
    let ending = host.fails(2, "photos-agent icloud status").out;
    assert!(ending.contains("iCloud account bob: its session ends on"), "{ending}");
    assert!(host.fails(2, "photos-agent status").out.contains("photos-agent icloud login bob"));

    // A restore brings back what lay there then, also a file that had broken off, and takes away what came since.
    host.ok("truncate -s 30000 /var/lib/photos/live/icloud/anna/*/*/IMG_0001*.JPG");
    let snapshot = host.ok("photos-agent snapshot --json | jq -r .snapshot.id");
    apple.control(&json!({ "account": "anna@example.org", "set": { "pictures": 8 } }));
    assert_eq!(apple.sync("anna", 0)["full"], false);
    assert_eq!(apple.pictures("anna").len(), 10);
    host.ok(&format!("photos-agent restore {snapshot} --only icloud --yes"));
    assert_eq!(apple.pictures("anna").len(), 5);
    let run = apple.sync("anna", 0);
    assert_eq!((&run["result"], &run["full"]), (&json!("done"), &json!(true)), "{run}");
    apple.assert_whole("anna", 10);
    // Other options are another question to Apple.
    host.ok("sed -i '/^name = \"anna\"/a skip_videos = true' /etc/photos-agent/config.toml && photos-agent apply");
    assert_eq!(apple.sync("anna", 0)["full"], true);
    assert_eq!(apple.sync("anna", 0)["full"], false);
    // Another Apple ID would be brought into the same folder.
    host.ok("sed -i s/anna@example.org/other@example.org/ /etc/photos-agent/config.toml && photos-agent apply");
    for command in ["sync anna", "login anna --password-stdin"] {
        let refused = host.fails(3, &format!("echo x | photos-agent icloud {command}")).all();
        assert!(refused.contains("anna@example.org") && refused.contains("--new-apple-id"), "{refused}");
    }
}

#[test]
fn what_apple_does_not_want_has_a_name_and_the_other_account_goes_on() {
    let apple = Apple::new("icloud-fails");
    let host = &apple.host;
    for account in ["anna", "bob"] {
        apple.login(account, PASSWORD, CODE, 0);
    }
    // A connection that breaks in the middle of a file: icloudpd takes what came for the whole, and is corrected.
    apple.fail("anna", Some("cut"), Some(1));
    let run = apple.sync("anna", 0);
    assert_eq!(run["result"], "done", "{run}");
    apple.assert_whole("anna", 5);
    let aside = host.ok("find /var/lib/photos/live/icloud/.aside/anna -type f -printf '%s\\n'");
    assert_eq!(aside, "30000");
    // One account that is turned away is no reason for the other to wait.
    apple.fail("anna", Some("access-denied"), None);
    let denied = apple.sync("anna", 1);
    assert_eq!(denied["result"], "access_denied");
    assert!(denied["remedy"].as_str().unwrap().contains("Advanced Data Protection"));
    assert_eq!(apple.sync("bob", 0)["result"], "done");
    apple.assert_whole("bob", 5);
    // Too busy: three tries, and no more.
    apple.fail("anna", Some("503-photos"), None);
    assert_eq!(apple.sync("anna", 1)["result"], "throttled");
    assert_eq!(apple.count("failed:503-photos"), 3);
    // Files that do not come, though icloudpd says that all is well.
    apple.control(
        &json!({ "account": "anna@example.org", "set": { "pictures": 8, "fail": "file-404", "fail_times": 1 } }),
    );
    let run = apple.sync("anna", 0);
    assert_eq!(run["full"], true, "after a failed run all is gone through");
    apple.assert_whole("anna", 10);
    // A session that Apple ends: nobody knocks a second time.
    apple.fail("anna", None, None);
    apple.control(&json!({ "account": "anna@example.org", "revoke": "all" }));
    let sign_ins = apple.count("sign-ins");
    assert_eq!(apple.sync("anna", 1)["result"], "session_expired");
    let validated = apple.count("POST /setup/ws/1/validate");
    let refused = host.fails(3, "photos-agent icloud sync anna").all();
    assert!(refused.contains("photos-agent icloud login anna"), "{refused}");
    host.fails(1, "systemctl start photos-icloud@anna.service");
    let said = host.ok("journalctl -q -o cat -u photos-icloud@anna.service");
    assert!(said.contains("photos-agent icloud login anna"), "{said}");
    assert_eq!((apple.count("sign-ins"), apple.count("POST /setup/ws/1/validate")), (sign_ins, validated));
    // With the password kept, a session that has ended is renewed where Apple asks for no code.
    host.ok(&format!(
        "printf '{PASSWORD}\\n{CODE}\\n' | photos-agent icloud login anna --password-stdin --keep-password"
    ));
    apple.control(&json!({ "account": "anna@example.org", "revoke": "sessions" }));
    assert_eq!(apple.sync("anna", 0)["result"], "done");
    assert_eq!(apple.sync("bob", 0)["result"], "done");
}

#[test]
fn a_run_that_is_killed_leaves_nothing_that_looks_whole() {
    let apple = Apple::new("icloud-killed");
    let host = &apple.host;
    apple.login("anna", PASSWORD, CODE, 0);
    apple.control(&json!({ "account": "anna@example.org", "set": { "slow": 0.3 } }));
    // One that is cut off leaves its part there.
    let part = "[ $(systemctl show -P ActiveState icloudpd@anna.service) = activating ] && find /var/lib/photos/live/icloud/anna -name '*.part' | grep -q .";
    let gone = "systemctl show -P ActiveState icloudpd@anna.service | grep -qx 'inactive\\|failed' && ! test -e /run/photos-agent/icloudpd@anna.env";
    // Whoever stops the container means it.
    let mut child = host.start("photos-agent icloud sync anna --json > /root/stopped");
    host.wait_for(part, 120);
    host.ok("systemctl stop icloudpd@anna.service");
    child.wait().unwrap();
    let last = "jq -r '.accounts.anna | \"\\(.begun) \\(.runs | length) \\(.runs[0].result)\"' /var/lib/photos-agent/icloud.json";
    assert_eq!(host.ok(last), "null 1 cut_off");
    // Whoever stops the agent means the container, too.
    let mut child = host.start("systemctl start photos-icloud@anna.service");
    host.wait_for(part, 120);
    host.ok("systemctl stop photos-icloud@anna.service");
    child.wait().unwrap();
    host.ok(gone);
    assert_eq!(host.ok(last), "null 2 cut_off");
    let mut child = host.start("photos-agent icloud sync anna");
    host.wait_for(part, 120);
    host.fails(3, "printf 'x\\n' | photos-agent icloud login anna --password-stdin");
    host.ok("kill -KILL $(pgrep -x photos-agent); podman kill --signal KILL icloudpd-anna; systemctl kill -s KILL icloudpd@anna; true");
    child.wait().unwrap();
    apple.control(&json!({ "account": "anna@example.org", "set": { "slow": 0 } }));
    host.wait_for("systemctl is-failed icloudpd@anna.service", 60);
    let cut_off = host.fails(2, "photos-agent icloud status").out;
    assert!(cut_off.contains("was cut off") && cut_off.contains("photos-agent icloud sync anna"), "{cut_off}");
    let run = apple.sync("anna", 0);
    assert_eq!((&run["result"], &run["full"]), (&json!("done"), &json!(true)), "{run}");
    apple.assert_whole("anna", 5);
    assert_eq!(host.ok("find /var/lib/photos/live/icloud/anna -name '*.part'"), "");
    // The host goes down in the middle: what was on its way comes again.
    apple.control(&json!({ "account": "anna@example.org", "set": { "pictures": 12, "slow": 0.1 } }));
    let mut child = host.start("photos-agent icloud sync anna");
    host.wait_for("test $(find /var/lib/photos/live/icloud/anna -name '*.xmp' | wc -l) -ge 7", 120);
    host.cut_power();
    let _ = child.wait();
    // It is taken up by itself, and told to wait for the Apple of this test.
    host.wait_for("journalctl -b -q -u photos-icloud@anna.service | grep -q .", 120);
    host.ok("systemctl stop photos-icloud@anna.service");
    host.ok("podman start apple && address=$(podman inspect -f '{{(index .NetworkSettings.Networks \"photos-egress\").IPAddress}}' apple) && \
             sed -i \"s/^[0-9.]* setup.icloud.com/$address setup.icloud.com/\" /etc/hosts && echo $address > /root/apple");
    host.wait_for("curl -sf http://$(cat /root/apple):8000/", 60);
    apple.control(&json!({ "set": { "password": PASSWORD, "code": CODE, "pictures": 12 } }));
    // The stand-in has forgotten everybody.
    apple.login("anna", PASSWORD, CODE, 0);
    let run = apple.sync("anna", 0);
    assert_eq!((&run["result"], &run["full"]), (&json!("done"), &json!(true)), "{run}");
    apple.assert_whole("anna", 15);
}
