//! Everything that reads what somebody else wrote, each with what must hold whatever the bytes are.
//!
//! The expectations are written from the rules, not from the parsers: a card number is 12 to 19
//! digits once blanks and hyphens are gone, and so on. The fuzz targets and the bounded run use the
//! same functions; replies of vendors have a judge of their own beside them.

use std::{io::Cursor, path::PathBuf, time::Duration};

use cardproof::{
    cli::verify_file::rows::{Format, Rows},
    config::{Config, ConfigSource},
    domain::{CardNumber, CardRef, Identity, IdentityType, PersonName, Phone},
    grpc::deadline::parse_timeout,
    provider::bin::BinTable,
    service::ledger::summary::summarize,
};
use jiff::civil::{Date, date};

/// A parser, and the samples to begin with.
pub struct Target {
    pub name: &'static str,
    pub check: fn(&[u8]),
    pub seeds: &'static str,
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        pub const TARGETS: &[Target] = &[$(Target {
            name: stringify!($name),
            check: $name,
            seeds: include_str!(concat!("../../fuzz/seeds/", stringify!($name), ".txt")),
        }),+];
    };
}

targets![
    card,
    name,
    id_number,
    phone,
    bin_csv,
    configuration,
    grpc_timeout,
    rows,
    ledger
];

const TODAY: Date = date(2026, 6, 1);

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// 12 to 19 digits, ASCII or full-width, with blanks and any kind of hyphen between them.
pub fn card(data: &[u8]) {
    let Some(raw) = text(data) else { return };
    let blank = |c: char| c.is_whitespace() || "-‐‑‒–—―−－".contains(c);
    let kept: Vec<char> = raw.chars().filter(|c| !blank(*c)).collect();
    let digits: Option<String> = kept
        .iter()
        .map(|c| match c {
            '0'..='9' => Some(*c),
            '０'..='９' => char::from_u32(*c as u32 - '０' as u32 + '0' as u32),
            _ => None,
        })
        .collect();
    // a text that is mostly separators is refused unread
    let short = raw.chars().count() <= 64;
    let digits = digits.filter(|digits| short && digits.len() <= 19);
    let full = digits.clone().filter(|digits| digits.len() >= 12);
    let read = CardNumber::parse(raw);
    assert_eq!(read.as_ref().ok().map(CardNumber::expose), full.as_deref());
    let asked = CardRef::parse(raw);
    let wanted = digits.filter(|digits| digits.len() >= 6);
    assert_eq!(asked.as_ref().ok().map(CardRef::expose), wanted.as_deref());
    if let Ok(card) = read {
        assert!(!format!("{card:?} {asked:?}").contains(card.expose()));
        let sum: u32 = card
            .expose()
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, digit)| {
                let digit = u32::from(digit - b'0');
                if place % 2 == 1 {
                    digit * 2 / 10 + digit * 2 % 10
                } else {
                    digit
                }
            })
            .sum();
        assert_eq!(card.luhn_valid(), sum.is_multiple_of(10));
    }
}

/// A name has one spelling, and that spelling reads as itself.
pub fn name(data: &[u8]) {
    let Some(raw) = text(data) else { return };
    let Ok(name) = PersonName::parse(raw) else {
        return;
    };
    let shown = name.expose();
    assert!((1..=100).contains(&shown.chars().count()), "{shown:?}");
    assert!(
        !shown.chars().any(|c| c.is_control() || c.is_ascii_digit()),
        "{shown:?}"
    );
    let directions = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!shown.chars().any(directions), "{shown:?}");
    assert!(!shown.contains("  ") && shown.trim() == shown, "{shown:?}");
    assert!(
        !shown.contains(['\u{2022}', '\u{30fb}', '\u{2027}', '\u{ff0e}']),
        "{shown:?}"
    );
    assert_eq!(
        PersonName::parse(shown)
            .map(|again| again.expose().to_owned())
            .as_deref(),
        Ok(shown)
    );
    assert_eq!(format!("{name:?}"), "PersonName(***)");
}

/// A resident number is right by the congruence of its standard; other documents by their letters.
pub fn id_number(data: &[u8]) {
    let Some((kind, raw)) = data.split_first() else {
        return;
    };
    let Some(raw) = text(raw) else { return };
    let kind = IdentityType::ALL[usize::from(*kind) % IdentityType::ALL.len()];
    let read = Identity::parse(kind, raw, TODAY);
    let number = raw.trim().to_ascii_uppercase();
    let wanted = if kind == IdentityType::ResidentId {
        is_resident_number(&number)
    } else {
        (5..=32).contains(&number.len())
            && number
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-()".contains(c))
    };
    // permits for foreigners and the two regions are resident numbers in some cases; the service
    // takes them by the rule of other documents
    assert_eq!(read.is_ok(), wanted, "{kind:?} {number}");
    if let Ok(identity) = read {
        assert_eq!(identity.expose(), number);
        assert!(!format!("{identity:?}").contains(&number));
    }
}

/// ISO 7064: the places weighed by powers of two come to 1 modulo 11.
fn is_resident_number(number: &str) -> bool {
    let bytes = number.as_bytes();
    if bytes.len() != 18 || bytes[0] == b'0' || !bytes[..17].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let value = |place: usize| match bytes[place] {
        b'X' if place == 17 => Some(10),
        digit @ b'0'..=b'9' => Some(u32::from(digit - b'0')),
        _ => None,
    };
    let sum: Option<u32> = (0..18)
        .map(|place| Some(value(place)? * 2_u32.pow(17 - place as u32)))
        .sum();
    let born = number[6..14].parse::<u32>().unwrap();
    let (year, month, day) = (born / 10_000, born / 100 % 100, born % 100);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    sum.is_some_and(|sum| sum % 11 == 1) && (1..=days).contains(&day) && born <= 20_260_601
}

/// 11 digits from 13 on, with or without the code of the country.
pub fn phone(data: &[u8]) {
    let Some(raw) = text(data) else { return };
    let compact: String = raw
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    let mobile = |number: &str| {
        number.len() == 11
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && ("13".."2").contains(&number)
    };
    let endings = ["+86", "0086", "86", ""].map(|code| compact.strip_prefix(code));
    let wanted = endings.into_iter().flatten().find(|number| mobile(number));
    let read = Phone::parse(raw);
    let wanted = wanted.filter(|_| raw.len() <= 64);
    assert_eq!(read.as_ref().ok().map(Phone::expose), wanted);
    if let Ok(phone) = read {
        assert_eq!(format!("{phone:?}"), "Phone(***)");
    }
}

/// The operator's own rows of the BIN table: taken as a whole, or every bad line named.
pub fn bin_csv(data: &[u8]) {
    let Some(csv) = text(data) else { return };
    match BinTable::with_overlay(csv) {
        Ok(table) => {
            // the embedded rows are still there
            let _ = table.lookup(b"6222020000000000000");
            assert!(table.overlay_rows() <= csv.lines().count());
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(
                    problem.line >= 1 && problem.line <= csv.split(['\n', '\r']).count() as u64
                );
                assert_one_line(&problem.to_string());
            }
        }
    }
}

/// A file, and after a zero byte variables of the environment, one a line.
pub fn configuration(data: &[u8]) {
    let Some(all) = text(data) else { return };
    let (file, variables) = all.split_once('\0').unwrap_or((all, ""));
    let pairs = variables.lines().filter_map(|line| line.split_once('='));
    let source = ConfigSource {
        file: Some((PathBuf::from("fuzz.toml"), file.to_owned())),
        env: pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    if let Err(problems) = Config::load(&source) {
        assert!(!problems.as_slice().is_empty());
        for problem in problems.as_slice() {
            assert_one_line(&problem.to_string());
        }
    }
}

/// 1 to 8 digits and a unit, and nothing else.
pub fn grpc_timeout(data: &[u8]) {
    const UNITS: [(u8, u128); 6] = [
        (b'H', 3_600_000_000_000),
        (b'M', 60_000_000_000),
        (b'S', 1_000_000_000),
        (b'm', 1_000_000),
        (b'u', 1_000),
        (b'n', 1),
    ];
    let wanted = data.split_last().and_then(|(unit, digits)| {
        let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
        let digits = text(digits).filter(|it| (1..=8).contains(&it.len()))?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<u128>().ok().map(|amount| amount * nanos))?
    });
    assert_eq!(parse_timeout(data).as_ref().map(Duration::as_nanos), wanted);
}

/// Rows of a file of questions; the first byte chooses the form.
pub fn rows(data: &[u8]) {
    let Some((form, file)) = data.split_first() else {
        return;
    };
    let format = if form % 2 == 0 {
        Format::Csv
    } else {
        Format::Jsonl
    };
    let ignored = ["note".to_owned()];
    let rows = match Rows::new(Cursor::new(file), format, &ignored) {
        Ok(rows) => rows,
        Err(error) => return assert_no_value(&format!("{error:#}")),
    };
    let (mut count, mut last_line) = (0, 0);
    for row in rows {
        let row = match row {
            Ok(row) => row,
            Err(error) => return assert_no_value(&format!("{error:#}")),
        };
        count += 1;
        assert_eq!(row.number, count);
        assert!(row.line >= last_line, "line {} after {last_line}", row.line);
        last_line = row.line;
        if let Err(problem) = row.question {
            assert_no_value(&problem);
        }
    }
    let lines = file.split(|byte| *byte == b'\n');
    assert!(last_line <= lines.clone().count() as u64);
    if format == Format::Jsonl {
        let bare = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let full = bare
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty());
        assert_eq!(count, full.count() as u64);
    }
}

/// Lines of ledgers and logs: every line is counted as something.
pub fn ledger(data: &[u8]) {
    let summary = summarize([data]).expect("memory can be read");
    let lines = data
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    assert!(summary.malformed + summary.other <= lines.count() as u64);
    let _ = (summary.to_json(), summary.to_csv(), summary.to_table());
}

/// Digits of a row in a complaint would be a value of it.
fn assert_no_value(complaint: &str) {
    assert_one_line(complaint);
    let longest = complaint
        .split(|c: char| !c.is_ascii_digit())
        .map(str::len)
        .max();
    assert!(longest < Some(6), "{complaint}");
}

fn assert_one_line(said: &str) {
    assert!(
        !said.is_empty() && !said.chars().any(char::is_control),
        "{said:?}"
    );
}
