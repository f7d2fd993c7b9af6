use secrecy::ExposeSecret;

use super::*;
use crate::domain::IdentityType;

fn rows(text: impl AsRef<[u8]>, format: Format, ignore: &[&str]) -> anyhow::Result<Vec<Row>> {
    let ignore: Vec<String> = ignore.iter().map(|name| (*name).to_owned()).collect();
    Rows::new(text.as_ref(), format, &ignore)?.collect()
}

fn shown(row: &Row) -> [&str; 4] {
    let question = row.question.as_ref().unwrap();
    [
        &question.bank_card,
        &question.name,
        &question.id_number,
        &question.phone,
    ]
    .map(|field| field.expose_secret())
}

#[test]
fn csv_names_its_columns_in_any_order() {
    let text = "\u{feff}name, bankCard,phone,id_number,identity_type,note\r\n\
                \"Wei, Xiaobao\",6222020000000000000,,E1234567,passport,x\r\n\
                \r\n\
                \"two\nlines\",1,2,3,,\"\"\"\"\r\n";
    let rows = rows(text, Format::Csv, &["note"]).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        shown(&rows[0]),
        ["6222020000000000000", "Wei, Xiaobao", "E1234567", ""]
    );
    let first = rows[0].question.as_ref().unwrap();
    assert_eq!(first.identity_type, Some(IdentityType::Passport));
    assert_eq!(shown(&rows[1]), ["1", "two\nlines", "3", "2"]);
    assert_eq!([rows[0].number, rows[0].line], [1, 2]);
    assert_eq!([rows[1].number, rows[1].line], [2, 4]);
}

#[test]
fn json_lines_are_objects() {
    let text = "{\"bank_card\":\"1\",\"name\":\"张三\"}\n\n{\"bankCard\":\"2\",\"idNumber\":\"3\",\"note\":7}";
    let rows = rows(text, Format::Jsonl, &["note"]).unwrap();
    assert_eq!(shown(&rows[0]), ["1", "张三", "", ""]);
    assert_eq!(shown(&rows[1]), ["2", "", "3", ""]);
    assert_eq!([rows[1].number, rows[1].line], [2, 3]);
}

#[test]
fn a_file_whose_head_says_nothing_is_refused_without_showing_it() {
    for (text, expected) in [
        ("6222020000000000000,Zhang\n", "unknown column (not shown)"),
        ("bank_card,phone_number\n", "unknown column phone_number"),
        ("bank_card,bankCard\n", "column bank_card is there twice"),
        ("name,phone\n", "there is no column bank_card"),
        ("", "the first line must name the columns"),
    ] {
        let Err(error) = rows(text, Format::Csv, &[]) else {
            panic!("{text}");
        };
        let error = error.to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("6222"), "{error}");
    }
}

#[test]
fn a_bad_row_is_named_by_field_and_spoils_no_other() {
    let text =
        b"bank_card,name,identity_type\n6222,a,b,c\n6222,\xff\xfe,\n6222,a,6222\n6222,good,\n";
    let rows = rows(text, Format::Csv, &[]).unwrap();
    let problem = |index: usize| rows[index].question.as_ref().err().unwrap().clone();
    assert_eq!(problem(0), "4 fields where the first line names 3 columns");
    assert_eq!(problem(1), "name is not in UTF-8");
    assert!(
        problem(2).starts_with("identity_type must be one of RESIDENT_ID"),
        "{}",
        problem(2)
    );
    assert!(rows[3].question.is_ok());
    assert_eq!(
        rows.iter().map(|row| row.line).collect::<Vec<_>>(),
        [2, 3, 4, 5]
    );

    let text = "[1]\n{\"bank_card\":6222}\n{\"bank_card\":\"6222\",\"bank_card\":\"\"}\n{\"6222020000\":1}\n{";
    let rows = self::rows(text, Format::Jsonl, &[]).unwrap();
    for (row, expected) in rows.iter().zip([
        "not one JSON object",
        "bank_card must be a text",
        "key bank_card is given twice",
        "unknown key (not shown)",
        "not one JSON object",
    ]) {
        let problem = row.question.as_ref().err().unwrap();
        assert!(problem.contains(expected), "{problem}");
        assert!(!problem.contains("6222"), "{problem}");
    }
    assert_eq!(rows.len(), 5);
}

#[test]
fn a_row_without_an_end_does_not_fill_the_memory() {
    let endless = || io::repeat(b'x').take(1 << 40);
    let csv = b"bank_card\n\"".as_slice().chain(endless());
    let mut rows = Rows::new(csv, Format::Csv, &[]).unwrap();
    let error = rows.next().unwrap().err().unwrap();
    assert!(error.to_string().contains("longer than 64 KiB"), "{error}");
    assert!(rows.next().is_none());
    let mut rows = Rows::new(endless(), Format::Jsonl, &[]).unwrap();
    let error = format!("{:#}", rows.next().unwrap().err().unwrap());
    assert!(error.contains("longer than 64 KiB"), "{error}");
    assert!(Rows::new(endless(), Format::Csv, &[]).is_err());
}

#[test]
fn the_name_of_a_file_says_what_it_is() {
    let of = |name: &str, said| Format::of(Path::new(name), said);
    assert_eq!(of("a/b.CSV", None).unwrap(), Format::Csv);
    assert_eq!(of("b.ndjson", Some(Format::Csv)).unwrap(), Format::Jsonl);
    assert_eq!(of("b.txt", Some(Format::Csv)).unwrap(), Format::Csv);
    assert!(of("b.txt", None).is_err());
}
