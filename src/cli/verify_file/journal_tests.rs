use std::io::Write as _;

use super::*;

const INPUT: Fingerprint = Fingerprint {
    input_bytes: 1_000,
    input_modified_ns: 7,
};

fn failure(code: &'static str, reason: &str) -> CallFailure {
    CallFailure {
        code,
        reason: reason.into(),
        ..CallFailure::default()
    }
}

/// An output in a folder of its own.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    (folder, out)
}

fn journal_of(out: &Path) -> PathBuf {
    out.with_extension("csv.journal")
}

#[test]
fn a_job_goes_on_with_its_id_and_what_it_knew() {
    let (_folder, out) = place();
    let mut journal = Journal::open(&out, &INPUT).unwrap();
    let job = journal.job();
    journal
        .no_answer(2, 3, &failure("UNKNOWN", "OUTCOME_UNKNOWN"))
        .unwrap();
    journal
        .no_answer(
            3,
            4,
            &failure("RESOURCE_EXHAUSTED", "CARD_ATTEMPTS_EXCEEDED"),
        )
        .unwrap();
    journal.unusable(4, 5, "phone must be a text").unwrap();
    journal
        .no_answer(5, 6, &failure("INVALID_ARGUMENT", "NAME_INVALID"))
        .unwrap();
    drop(journal);

    let journal = Journal::open(&out, &INPUT).unwrap();
    assert_eq!(journal.job(), job);
    let standings: Vec<_> = (1..=6).map(|row| journal.standing(row)).collect();
    use Standing as S;
    assert_eq!(
        standings,
        [
            S::New,
            S::Unknown,
            S::NoAnswer,
            S::Settled,
            S::Settled,
            S::New
        ]
    );
    assert_eq!(journal.unknown_before(2), 1);
    assert_eq!(journal.tally().of(Group::Unusable), 2);
    assert_eq!(journal.tally().charges.perhaps, 1);
}

#[test]
fn a_row_that_is_asked_anew_keeps_the_count_of_its_unknown_outcomes() {
    let (_folder, out) = place();
    let mut journal = Journal::open(&out, &INPUT).unwrap();
    for reason in ["OUTCOME_UNKNOWN", "OUTCOME_UNKNOWN", NO_ANSWER_IN_TIME] {
        journal
            .no_answer(1, 2, &failure("UNKNOWN", reason))
            .unwrap();
    }
    assert_eq!(journal.standing(1), Standing::NoAnswer);
    // the id of the asking that was cut off, not that of one before
    assert_eq!(journal.unknown_before(1), 2);
    assert_eq!(journal.tally().of(Group::NoAnswer), 1);
    assert_eq!(journal.tally().charges.perhaps, 3);
}

#[test]
fn a_line_that_was_cut_off_is_taken_away() {
    let (_folder, out) = place();
    let mut journal = Journal::open(&out, &INPUT).unwrap();
    journal.unusable(1, 2, "x").unwrap();
    drop(journal);
    let path = journal_of(&out);
    let whole = fs::read(&path).unwrap();
    for cut in 1..whole.len() {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut journal = Journal::open(&out, &INPUT).unwrap();
        assert_eq!(journal.standing(1), Standing::New, "{cut} bytes cut off");
        journal.unusable(1, 2, "x").unwrap();
        drop(journal);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2, "{cut} bytes cut off");
    }
}

#[test]
fn what_is_no_journal_of_this_input_is_refused() {
    let (_folder, out) = place();
    fs::write(&out, "kept").unwrap();
    let refused = |expected: &str| {
        let Err(error) = Journal::open(&out, &INPUT) else {
            panic!("{expected}");
        };
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    };
    refused("there already");
    assert_eq!(fs::read(&out).unwrap(), b"kept");
    fs::remove_file(&out).unwrap();

    let journal = Journal::open(&out, &INPUT).unwrap();
    refused("another run is at work");
    drop(journal);
    let other = Fingerprint {
        input_modified_ns: 8,
        ..INPUT
    };
    assert!(Journal::open(&out, &other).is_err());
    let path = journal_of(&out);
    for line in ["{\"row\":1001}\n", "{\"row\":0}\n", "nonsense\n"] {
        let whole = fs::read(&path).unwrap();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        refused("is no journal, from byte");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, out) = place();
    drop(Journal::open(&out, &INPUT).unwrap());
    let mode = fs::metadata(journal_of(&out)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
