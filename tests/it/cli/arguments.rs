//! Help, version, completions, and complaints that never repeat what was typed.

use std::process::Stdio;

use rstest::rstest;

use super::{CARD, command, run, run_with};

#[test]
fn help_names_every_command_and_long_help_shows_examples() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    let commands = [
        "serve",
        "verify",
        "card-info",
        "check-config",
        "healthcheck",
        "completions",
    ];
    for name in commands {
        assert!(help.stdout.contains(&format!("\n  {name}")), "{name}");
        let of_command = run(&[name, "--help"]);
        assert_eq!(of_command.code, 0, "{name}");
        assert!(
            of_command
                .stdout
                .contains(&format!("Usage: cardproof {name}")),
            "{name}"
        );
    }
    for name in ["verify", "card-info", "healthcheck", "completions"] {
        let long = run(&[name, "--help"]).stdout;
        assert!(long.contains("Examples:"), "{name}");
    }
}

#[test]
fn version_tells_the_program_s_and_the_data_s() {
    let version = run(&["--version"]);
    let expected = format!(
        "cardproof {} (BIN data {})\n",
        env!("CARGO_PKG_VERSION"),
        cardproof::provider::bin::DATA_VERSION
    );
    assert_eq!((version.code, version.stdout), (0, expected));
}

#[rstest]
#[case::bash("bash", "complete -F _cardproof")]
#[case::zsh("zsh", "#compdef cardproof")]
#[case::fish("fish", "complete -c cardproof")]
fn completions_are_scripts_of_the_shell(#[case] shell: &str, #[case] sign: &str) {
    let script = run(&["completions", shell]);
    assert_eq!((script.code, script.stderr.as_str()), (0, ""));
    assert!(script.stdout.contains(sign), "{}", script.stdout);
    assert!(script.stdout.contains("card-info") && script.stdout.contains("token-file"));
}

#[rstest]
#[case::argument(&["verify", CARD], "unexpected argument")]
#[case::argument_of_card_info(&["card-info", CARD], "unexpected argument")]
#[case::option(&["verify", &format!("--card={CARD}")], "unknown option --card")]
#[case::option_with_digits(&["verify", &format!("--c{CARD}")], "unexpected argument")]
#[case::command(&[CARD], "unknown command")]
#[case::option_before_the_command(&[&format!("--{CARD}"), "verify"], "unexpected argument")]
#[case::span(&["verify", "--timeout", CARD], "value of --timeout <TIME> cannot be used: must be at most")]
#[case::age(&["verify", "--max-age", &format!("{CARD}x")], "--max-age <AGE> cannot be used: expected a number")]
#[case::address(
    &["card-info", "--addr", &format!("http://{CARD}@host")],
    "--addr <URL> cannot be used: must hold a scheme, a host and a port only"
)]
#[case::switch(&["verify", &format!("--json={CARD}")], "")]
#[case::shell(&["completions", CARD], "expected one of bash")]
fn complaints_do_not_repeat_what_was_typed(#[case] arguments: &[&str], #[case] complaint: &str) {
    let refused = run(arguments);
    refused.assert_no_card();
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains(complaint), "{}", refused.stderr);
    assert!(refused.stderr.contains("for help, try: cardproof"));
}

#[test]
fn who_types_a_card_number_as_an_argument_is_told_why_not() {
    let refused = run(&["verify", CARD]);
    assert!(
        refused
            .stderr
            .contains("read as JSON from standard input, never taken from arguments"),
        "{}",
        refused.stderr
    );
}

#[rstest]
#[case(&["verify", "--jsn"], "unknown option --jsn; did you mean --json?")]
#[case(&["verfy"], "unknown command; did you mean verify?")]
#[case(&["verify", "--cert", "c.pem"], "missing: --key <FILE>")]
#[case(&["verify", "--bypass", "--only-if-cached"], "--bypass cannot be used with --only-if-cached")]
#[case(&["verify", "--addr"], "--addr <URL> needs a value")]
#[case(&["completions"], "missing: <SHELL>")]
fn complaints_help(#[case] arguments: &[&str], #[case] complaint: &str) {
    let refused = run(arguments);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains(complaint), "{}", refused.stderr);
}

#[rstest]
#[case::number(&format!(r#"{{"bank_card": {CARD}}}"#), "bank_card must be a text")]
#[case::unknown_key(&format!(r#"{{"pan": "{CARD}"}}"#), "unknown key pan; known are bank_card, name")]
#[case::key_is_a_card(&format!(r#"{{"{CARD}": ""}}"#), "unknown key (not shown)")]
#[case::cut_off(&format!(r#"{{"bank_card": "{CARD}"#), "not one JSON object (line 1, column")]
#[case::text(&format!(r#""{CARD}""#), "not one JSON object")]
#[case::nothing("", "standard input is empty")]
fn a_question_that_cannot_be_read_is_an_error_without_values(
    #[case] stdin: &str,
    #[case] complaint: &str,
) {
    let refused = run_with(&["verify"], stdin);
    refused.assert_no_card();
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains(complaint), "{}", refused.stderr);

    let refused = run_with(&["verify", "--json"], stdin);
    refused.assert_no_card();
    assert_eq!((refused.code, refused.stderr.as_str()), (2, ""));
    let message = refused.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains(complaint), "{message}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = command(&["completions", "zsh"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn check_config_says_whether_a_configuration_can_be_used() {
    let checked = run(&["check-config"]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (0, "configuration is valid\n")
    );
    // a variable that is set to nothing is a variable that is not set
    let output = command(&["check-config"])
        .env("CARDPROOF_CONFIG", "")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"configuration is valid\n");

    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("cardproof.toml");
    std::fs::write(&file, "[server]\nlissten = \"x\"\nreplicas = 0\n").unwrap();
    for command in ["check-config", "serve"] {
        let refused = run(&[command, "--config", file.to_str().unwrap()]);
        assert_eq!((refused.code, refused.stdout.as_str()), (64, ""));
        let keys = ["server.lissten", "server.replicas"];
        assert_eq!(refused.stderr.lines().count(), keys.len());
        for key in keys {
            assert!(refused.stderr.contains(key), "{}", refused.stderr);
        }
    }
}

/// What a command reads no configuration for, it takes none.
#[rstest]
#[case(&["serve"], true)]
#[case(&["check-config"], true)]
#[case(&["healthcheck"], true)]
#[case(&["providers"], true)]
#[case(&["guard", "show"], true)]
#[case(&["guard", "reset"], true)]
#[case(&["erase"], true)]
#[case(&["verify"], false)]
#[case(&["verify-file"], false)]
#[case(&["card-info"], false)]
#[case(&["ledger", "summarize"], false)]
#[case(&["completions"], false)]
fn the_configuration_is_an_argument_of_those_who_read_it(
    #[case] command: &[&str],
    #[case] reads: bool,
) {
    let help = run(&[command, &["--help"]].concat());
    assert_eq!(help.stdout.contains("--config <FILE>"), reads);
    if !reads {
        let refused = run(&[command, &["--config", "cardproof.toml"]].concat());
        assert_eq!(refused.code, 2);
        assert!(
            refused.stderr.contains("unknown option --config"),
            "{}",
            refused.stderr
        );
    }
}

/// Before the command or behind it; behind it wins, and both win over the variable.
#[test]
fn the_configuration_may_stand_before_the_command() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = |name: &str, key: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{key} = 1\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (one, two, three) = (
        file("one.toml", "one"),
        file("two.toml", "two"),
        file("three.toml", "three"),
    );
    let refused_key = |arguments: &[&str]| {
        let output = command(arguments)
            .env("CARDPROOF_CONFIG", &three)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64));
        let told = String::from_utf8(output.stderr).unwrap();
        told.split(':').next().unwrap().to_owned()
    };
    assert_eq!(refused_key(&["check-config"]), "three");
    assert_eq!(refused_key(&["--config", &one, "check-config"]), "one");
    assert_eq!(refused_key(&["check-config", "--config", &two]), "two");
    assert_eq!(
        refused_key(&["--config", &one, "check-config", "--config", &two]),
        "two"
    );
    assert_eq!(refused_key(&["--config", &one]), "one");
}
