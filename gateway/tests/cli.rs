//! The `signalbox` binary as its users meet it: what it prints, and how it exits.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// The binary with nothing configured by the environment of the test.
fn signalbox(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_signalbox"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SIGNALBOX_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn end_of(mut command: Command) -> Output {
    timeout(PATIENCE, command.output()).await.expect("it ends").expect("the binary can be started")
}

async fn run(args: &[&str]) -> Output {
    end_of(signalbox(args)).await
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it exits by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// An embedded node on a free port.
struct RunningNode {
    child: Child,
    address: String,
    banner: Lines<BufReader<ChildStdout>>,
}

impl RunningNode {
    async fn start() -> Self {
        let mut child =
            signalbox(&["--listen", "127.0.0.1:0"]).stderr(Stdio::null()).spawn().expect("it starts");
        let mut banner = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = timeout(PATIENCE, async {
            loop {
                let line = banner.next_line().await.expect("UTF-8").expect("a banner that tells the address");
                if let Some((_, rest)) = line.split_once("ws://") {
                    return rest.split('/').next().expect("split gives one").to_owned();
                }
            }
        });
        let address = address.await.expect("the banner comes");
        Self { child, address, banner }
    }

    fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn terminate(mut self) -> i32 {
        let id = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.expect("kill is there").success());
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it stops").expect("its status");
        drop(self.banner);
        status.code().expect("it exits by itself")
    }
}

#[tokio::test]
async fn a_log_for_machines_is_one_object_a_line() {
    let args = ["serve", "--listen", "127.0.0.1:0", "--set", "log.format=json"];
    let mut node = signalbox(&args).stdout(Stdio::null()).spawn().expect("it starts");
    let id = node.id().expect("it runs").to_string();
    let mut lines = BufReader::new(node.stderr.take().expect("a pipe")).lines();
    let mut said = Vec::new();
    let read = async {
        while let Some(line) = lines.next_line().await.expect("UTF-8") {
            let line: serde_json::Value = serde_json::from_str(&line).expect("each line is JSON");
            for field in ["timestamp", "level", "target", "message"] {
                assert!(line[field].is_string(), "{field} in {line}");
            }
            let message = line["message"].as_str().unwrap_or_default().to_owned();
            if message == "listening" {
                assert!(line["address"].is_string() && line["node"].is_string(), "{line}");
                let killed = Command::new("kill").args(["-TERM", &id]).status().await;
                assert!(killed.expect("kill is there").success());
            }
            said.push(message);
        }
    };
    timeout(PATIENCE, read).await.expect("it ends");
    for expected in ["listening", "SIGTERM", "stopping"] {
        assert!(said.iter().any(|message| message == expected), "{expected} in {said:?}");
    }
}

#[tokio::test]
async fn bad_usage_exits_with_2() {
    for args in [&["frobnicate"][..], &["serve", "--frobnicate"], &["publish"], &["publish", "a:b", "{x}"]] {
        let output = run(args).await;
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("--help"), "{}", stderr(&output));
    }
    assert_eq!(code(&run(&["--version"]).await), 0);
}

#[tokio::test]
async fn a_bad_configuration_exits_with_64_and_tells_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("signalbox.toml");
    std::fs::write(&file, "[outbox]\nbyte_max = 1\n[heartbeat]\ninterval = \"soon\"\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    for start in [&["serve"][..], &["config", "check"], &["config", "show"]] {
        let args = [start, &["--config", file, "--redis", "http://:secret@host"]].concat();
        let mut command = signalbox(&args);
        command.env("SIGNALBOX_STOP__TIMEOUT", "1 fortnight");
        let output = end_of(command).await;
        let told = stderr(&output);
        assert_eq!(code(&output), 64, "{told}");
        for expected in [
            "signalbox.toml:2: outbox.byte_max is no setting; did you mean outbox.bytes_max?",
            "signalbox.toml:4: heartbeat.interval is wrong",
            "environment variable SIGNALBOX_STOP__TIMEOUT: stop.timeout is wrong",
            "flag --redis: redis.url is wrong",
        ] {
            assert!(told.contains(expected), "{expected}\nnot in\n{told}");
        }
        assert!(!told.contains("secret") && output.stdout.is_empty(), "{told}");
    }
}

#[tokio::test]
async fn without_keys_it_refuses_to_be_reached_by_others() {
    let refused = run(&["serve", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(code(&refused), 64);
    assert!(stderr(&refused).contains("--allow-anonymous"), "{}", stderr(&refused));
    let allowed = run(&["config", "check", "--listen", "0.0.0.0:0", "--allow-anonymous"]).await;
    assert_eq!(code(&allowed), 0, "{}", stderr(&allowed));
}

#[tokio::test]
async fn a_bad_log_filter_exits_with_64() {
    let mut command = signalbox(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("RUST_LOG", "info,=,=");
    let output = end_of(command).await;
    assert_eq!(code(&output), 64, "{}", stderr(&output));
    assert!(stderr(&output).contains("RUST_LOG"));
}

#[tokio::test]
async fn the_printed_default_is_a_configuration_file() {
    let output = run(&["config", "default"]).await;
    assert_eq!(code(&output), 0);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("signalbox.toml");
    std::fs::write(&file, stdout(&output)).expect("a file");
    let checked = run(&["config", "check", "--config", file.to_str().expect("UTF-8")]).await;
    assert_eq!(code(&checked), 0, "{}", stderr(&checked));
    assert!(stdout(&checked).starts_with("the configuration is fine"), "{}", stdout(&checked));
}

#[tokio::test]
async fn nobody_there_exits_with_1() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let url = format!("http://{address}");
    let output = run(&["topics", "--url", &url]).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains(&format!("no node answers at {url}")), "{}", stderr(&output));
    let output = run(&["connect", &format!("ws://{address}/ws")]).await;
    assert_eq!(code(&output), 1, "{}", stderr(&output));
}

#[tokio::test]
async fn a_node_that_never_answers_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    let output = run(&["topics", "--url", &url, "--timeout", "200ms"]).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no answer from"), "{}", stderr(&output));
}

#[tokio::test]
async fn an_address_in_use_exits_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let output = run(&["serve", "--listen", &address]).await;
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}

#[tokio::test]
async fn a_node_is_asked_and_told_from_a_shell_and_stops_when_told() {
    let node = RunningNode::start().await;
    let url = node.http();

    let none = run(&["connections", "--url", &url]).await;
    assert_eq!((code(&none), stdout(&none).trim()), (0, "no connection"), "{}", stderr(&none));

    let socket = format!("ws://{}/ws", node.address);
    let mut listener = signalbox(&["connect", &socket, "--as", "passenger:P1"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut typed = listener.stdin.take().expect("a pipe");
    let mut heard = BufReader::new(listener.stdout.take().expect("a pipe")).lines();
    let mut next = async || {
        let line = timeout(PATIENCE, heard.next_line()).await.expect("in time").expect("UTF-8");
        line.expect("another line")
    };
    assert!(next().await.contains("passenger:P1"), "the welcome comes first");
    typed.write_all(b"system:subscribe {\"topics\":[\"route:12\"]}\n").await.expect("it reads");
    assert!(next().await.contains("system:ack"));

    let topics = run(&["topics", "--url", &url]).await;
    assert!(stdout(&topics).contains("route:12"), "{}{}", stdout(&topics), stderr(&topics));
    let filtered = run(&["connections", "--url", &url, "--agent", "passenger:P1", "--json"]).await;
    let listed: serde_json::Value = serde_json::from_str(&stdout(&filtered)).expect("JSON");
    assert_eq!(listed["items"][0]["agent"], "passenger:P1", "{listed}");

    let args = ["publish", "vehicle:status_change", "{\"ok\": 1.0}", "--target", "route:12", "--url", &url];
    let published = run(&args).await;
    assert_eq!((code(&published), stdout(&published).trim()), (0, "accepted 1"), "{}", stderr(&published));
    let message = next().await;
    assert!(message.contains("vehicle:status_change") && message.contains("{\"ok\": 1.0}"), "{message}");

    let refused = run(&["publish", "Not A Type", "--target", "route:12", "--url", &url]).await;
    assert_eq!(code(&refused), 1);
    assert!(stderr(&refused).contains("invalid_type"), "{}", stderr(&refused));

    drop(typed);
    let status =
        timeout(PATIENCE, listener.wait()).await.expect("it ends with its input").expect("its status");
    assert_eq!(status.code(), Some(0));
    assert_eq!(node.terminate().await, 0);
}

#[tokio::test]
async fn the_locks_that_are_held_are_listed_by_name() {
    let node = RunningNode::start().await;
    let url = node.http();
    let none = run(&["locks", "--url", &url]).await;
    assert_eq!((code(&none), stdout(&none).trim()), (0, "no lock is held"), "{}", stderr(&none));
    for resource in ["bay-5", "bay-4"] {
        let mut stream = TcpStream::connect(&node.address).await.expect("it listens");
        let body = r#"{"ttl_ms":60000,"owner":"vehicle:V1"}"#;
        let head = format!("POST /api/locks/{resource} HTTP/1.1\r\nhost: localhost\r\nconnection: close");
        let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("UTF-8");
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    let listed = run(&["locks", "--url", &url]).await;
    let lines: Vec<String> = stdout(&listed).lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("RESOURCE  OWNER       FENCE"), "{lines:?}");
    assert!(lines[1].starts_with("bay-4     vehicle:V1") && lines[2].starts_with("bay-5"), "{lines:?}");
    let first = run(&["locks", "--url", &url, "--limit", "1"]).await;
    assert!(stdout(&first).contains("more than these 1"), "{}", stdout(&first));
    assert_eq!(node.terminate().await, 0);
}

#[tokio::test]
async fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = signalbox(&["config", "default"]).spawn().expect("it starts");
    drop(child.stdout.take());
    let status = timeout(PATIENCE, child.wait()).await.expect("it ends").expect("its status");
    assert_eq!(status.code(), Some(0));
}

const SECRET: &str = "a s3cret of at least thirty-two bytes";
const PRIVATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../identity/src/tests/ed.pem");
const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../identity/src/tests/ed.pub.pem");

/// A token made by `signalbox token mint`, with the secret of the environment unless the arguments name a key.
async fn minted(args: &[&str]) -> String {
    let mut command = signalbox(&[&["token", "mint"], args].concat());
    command.env("SIGNALBOX_AUTH__SECRET", SECRET);
    let output = end_of(command).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

async fn inspected(token: &str, args: &[&str]) -> Output {
    let mut command = signalbox(&[&["token", "inspect"], args].concat());
    command.env("SIGNALBOX_AUTH__SECRET", SECRET).env("SIGNALBOX_TOKEN", token);
    end_of(command).await
}

#[tokio::test]
async fn a_minted_token_says_what_was_asked_for_and_is_accepted() {
    let ways = [
        (&[][..], &[][..]),
        (
            &["--key-file", PRIVATE, "--algorithm", "EdDSA", "--kid", "k1"],
            &["--set", &format!("auth.keys=EdDSA {PUBLIC} k1")],
        ),
    ];
    for (signed, trusted) in ways {
        let claims = [
            "--as",
            "vehicle:V1",
            "--tenant",
            "acme",
            "--sub",
            "fleet-7",
            "--pillar",
            "north",
            "--namespace",
            "route-reservoir",
            "--capability",
            "publish:vehicle:*,subscribe:route:12",
            "--ttl",
            "10m",
            "--aud",
            "fleet",
        ];
        let token = minted(&[&claims[..], signed].concat()).await;
        let output = inspected(&token, &[&["--set", "auth.audiences=fleet"], trusted].concat()).await;
        let told = stdout(&output);
        assert_eq!(code(&output), 0, "{told}{}", stderr(&output));
        for expected in [
            "\"agent_id\": \"V1\"",
            "\"sub\": \"fleet-7\"",
            "\"pillar\": \"north\"",
            "\"route-reservoir\"",
            "\"subscribe:route:12\"",
            "accepted: vehicle:V1 of tenant acme, ends in ",
        ] {
            assert!(told.contains(expected), "{expected}\nnot in\n{told}");
        }
        let signature = token.rsplit('.').next().expect("three parts");
        assert!(!told.contains(signature) && !told.contains("s3cret"), "{told}");
    }
}

#[tokio::test]
async fn a_token_that_a_node_refuses_is_explained() {
    let token = minted(&["--as", "vehicle:V1", "--iss", "us"]).await;
    for (setting, expected) in [
        ("auth.audiences=fleet", "refused: the token is for another audience"),
        ("auth.issuers=them", "refused: the token's issuer is not the expected one"),
        ("auth.secret_id=other", "refused: the token's key is not known"),
        ("auth.lifetime_max=5m", "refused: the token is valid for too long a time"),
    ] {
        let output = inspected(&token, &["--set", setting]).await;
        assert_eq!(code(&output), 1, "{setting}");
        assert!(stderr(&output).contains(expected), "{setting}: {}", stderr(&output));
        assert!(stdout(&output).contains("\"agent_id\": \"V1\""), "it is shown all the same");
    }
    let rubbish = inspected("rubbish", &[]).await;
    assert!(
        code(&rubbish) == 1 && stderr(&rubbish).contains("the token is malformed"),
        "{}",
        stderr(&rubbish)
    );
}

#[tokio::test]
async fn without_a_key_no_token_is_made_and_none_is_checked() {
    let refused = run(&["token", "mint", "--as", "vehicle:V1"]).await;
    assert!(code(&refused) == 2 && stderr(&refused).contains("--key-file"), "{}", stderr(&refused));
    let public =
        run(&["token", "mint", "--as", "vehicle:V1", "--key-file", PUBLIC, "--algorithm", "EdDSA"]).await;
    assert!(
        code(&public) == 1 && stderr(&public).contains("no private key for EdDSA"),
        "{}",
        stderr(&public)
    );
    let mut command = signalbox(&["token", "inspect"]);
    command.env("SIGNALBOX_TOKEN", minted(&["--as", "vehicle:V1"]).await);
    let unchecked = end_of(command).await;
    assert!(code(&unchecked) == 0 && stdout(&unchecked).contains("not checked"), "{}", stdout(&unchecked));
}

#[tokio::test]
async fn a_node_is_asked_for_its_health_by_its_own_configuration() {
    let node = RunningNode::start().await;
    for args in [&["health"][..], &["health", "--ready"]] {
        let well = run(&[args, &["--listen", &node.address]].concat()).await;
        assert_eq!((code(&well), stdout(&well).contains("ok")), (0, true), "{}", stderr(&well));
    }
    let address = node.address.clone();
    assert_eq!(node.terminate().await, 0);
    let gone = run(&["health", "--listen", &address]).await;
    assert_eq!(code(&gone), 1);
    assert!(stderr(&gone).contains(&format!("no node answers at http://{address}")), "{}", stderr(&gone));
}

#[tokio::test]
async fn a_node_without_its_redis_lives_and_is_not_ready() {
    let free = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [node, redis] = free.map(|listener| listener.local_addr().expect("its address").to_string());
    let redis = format!("redis://{redis}/");
    let mut child = signalbox(&["--listen", &node, "--redis", &redis]).spawn().expect("it starts");
    let lives = async || code(&run(&["health", "--listen", &node]).await) == 0;
    signalbox_testkit::eventually("it lives", PATIENCE, lives).await;
    let unready = run(&["health", "--ready", "--listen", &node]).await;
    assert_eq!(code(&unready), 1);
    assert!(stderr(&unready).contains("[-]redis"), "{}", stderr(&unready));
    child.kill().await.expect("our own child can be killed");
}

#[tokio::test]
async fn the_health_of_a_node_with_tls_is_believed_with_its_own_certificate() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str| {
        let made =
            rcgen::generate_simple_self_signed(["signalbox.example".to_owned()]).expect("a certificate");
        let files = ["crt", "key"].map(|kind| dir.path().join(format!("{name}.{kind}")));
        std::fs::write(&files[0], made.cert.pem()).expect("a file");
        std::fs::write(&files[1], made.signing_key.serialize_pem()).expect("a file");
        files.map(|file| file.to_str().expect("UTF-8").to_owned())
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    let args = |command: &str, [certificate, key]: &[String; 2]| {
        let certificate = format!("tls.certificate={certificate}");
        let key = format!("tls.key={key}");
        [command, "--listen", &address, "--set", &certificate, "--set", &key].map(str::to_owned)
    };
    let health = async |files: &[String; 2]| run(&args("health", files).each_ref().map(String::as_str)).await;
    let (own, other) = (write("own"), write("other"));
    let mut child =
        signalbox(&args("serve", &own).each_ref().map(String::as_str)).spawn().expect("it starts");
    signalbox_testkit::eventually("it is well", PATIENCE, async || code(&health(&own).await) == 0).await;
    let mistaken = health(&other).await;
    assert_eq!(code(&mistaken), 1);
    assert!(
        stderr(&mistaken).contains("it shows another certificate than the one in its file"),
        "{}",
        stderr(&mistaken)
    );
    child.kill().await.expect("our own child can be killed");
}

/// The names of all commands that `--help` tells, with those below them: `config check`.
async fn commands(of: &[&str]) -> Vec<String> {
    let help = stdout(&run(&[of, &["--help"]].concat()).await);
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let lines = listed.lines().take_while(|line| line.starts_with("  "));
    // What is indented deeper is the rest of a text.
    let lines = lines.filter(|line| !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let mut found = Vec::new();
    for name in names {
        found.push([of, &[name]].concat().join(" "));
        found.extend(Box::pin(commands(&[of, &[name]].concat())).await);
    }
    found
}

#[tokio::test]
async fn every_command_has_a_man_page() {
    let dir = tempfile::tempdir().expect("a directory");
    let folder = dir.path().join("man");
    let written = run(&["generate", "man", folder.to_str().expect("UTF-8")]).await;
    assert_eq!(code(&written), 0, "{}", stderr(&written));
    let commands = commands(&[]).await;
    assert!(commands.iter().any(|name| name == "config check") && commands.len() > 15, "{commands:?}");
    for command in [""].into_iter().chain(commands.iter().map(String::as_str)) {
        let name = format!("signalbox {command}").trim().replace(' ', "-");
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).expect(&name);
        let escaped = name.replace('-', "\\-");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}:\n{page}");
        assert!(page.contains(&escaped) || page.contains(&name), "{name}:\n{page}");
    }
    let serve = std::fs::read_to_string(folder.join("signalbox-serve.1")).expect("its page");
    assert!(serve.contains("Share state through this Redis"), "{serve}");
}

#[tokio::test]
async fn a_shell_completes_commands_and_flags() {
    let script = run(&["generate", "completions", "bash"]).await;
    assert_eq!(code(&script), 0, "{}", stderr(&script));
    // What bash does when somebody types the words and presses Tab.
    let typed = |words: &str| {
        format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             _signalbox signalbox \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            stdout(&script)
        )
    };
    for (words, expected) in
        [("signalbox do", "doctor"), ("signalbox doctor --js", "--json"), ("signalbox config ch", "check")]
    {
        let output = Command::new("bash").args(["-c", &typed(words)]).output().await.expect("bash is there");
        assert_eq!(stdout(&output).trim(), expected, "{words}: {}", stderr(&output));
    }
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&run(&["generate", "completions", shell]).await).contains("doctor"), "{shell}");
    }
}
