//! Questions typed at a terminal. Card and ID numbers are not shown while they are typed.

use std::io::{self, BufRead, Write};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::question;
use crate::grpc::client::{CardInfoQuestion, Terms, VerifyQuestion};

/// Somebody who can be asked.
pub(super) trait Prompter {
    /// Asks for a line and shows it while it is typed.
    fn ask(&mut self, label: &str) -> io::Result<SecretString>;
    /// Asks for a line without showing it.
    fn ask_hidden(&mut self, label: &str) -> io::Result<SecretString>;
}

/// The terminal of this process. Prompts go to standard error, results alone to standard output.
pub(super) struct Terminal;

impl Prompter for Terminal {
    fn ask(&mut self, label: &str) -> io::Result<SecretString> {
        let mut stderr = io::stderr().lock();
        write!(stderr, "{label}")?;
        stderr.flush()?;
        let mut line = Zeroizing::new(String::new());
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim().into())
    }

    fn ask_hidden(&mut self, label: &str) -> io::Result<SecretString> {
        let line = Zeroizing::new(rpassword::prompt_password(label)?);
        Ok(line.trim().into())
    }
}

/// Asks for a card and a person.
pub(super) fn verify(who: &mut impl Prompter, terms: Terms) -> anyhow::Result<VerifyQuestion> {
    let bank_card = required(who.ask_hidden("Card number (not shown): "), "a card number")?;
    let name = required(who.ask("Name: "), "a name")?;
    let mut question = VerifyQuestion {
        bank_card,
        name,
        terms,
        ..VerifyQuestion::default()
    };
    question.id_number = typed(who.ask_hidden("ID number (not shown; optional, Enter skips): "))?;
    if is_empty(&question.id_number) {
        // a phone without an ID number would be no set of factors
        return Ok(question);
    }
    let kind = typed(who.ask("Kind of document (Enter: resident ID; or passport, ...): "))?;
    if !is_empty(&kind) {
        question.identity_type = Some(question::identity_type(kind.expose_secret())?);
    }
    question.phone = typed(who.ask("Phone (optional, Enter skips): "))?;
    Ok(question)
}

/// Asks for a card.
pub(super) fn card_info(who: &mut impl Prompter, terms: Terms) -> anyhow::Result<CardInfoQuestion> {
    let label = "Card number, or its first 6 to 11 digits (not shown): ";
    Ok(CardInfoQuestion {
        bank_card: required(who.ask_hidden(label), "a card number")?,
        terms,
    })
}

fn required(line: io::Result<SecretString>, what: &str) -> anyhow::Result<SecretString> {
    let line = typed(line)?;
    if is_empty(&line) {
        bail!("nothing to ask without {what}");
    }
    Ok(line)
}

fn typed(line: io::Result<SecretString>) -> anyhow::Result<SecretString> {
    line.context("the question was not finished")
}

fn is_empty(line: &SecretString) -> bool {
    line.expose_secret().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IdentityType;

    /// Types prepared lines, and notes what it was asked.
    struct Script {
        lines: Vec<&'static str>,
        asked: Vec<(bool, String)>,
    }

    impl Script {
        fn new(lines: &[&'static str]) -> Self {
            Self {
                lines: lines.iter().rev().copied().collect(),
                asked: Vec::new(),
            }
        }

        fn next(&mut self, label: &str, hidden: bool) -> io::Result<SecretString> {
            let word = label.split_whitespace().next().unwrap().to_owned();
            self.asked.push((hidden, word));
            let line = self.lines.pop().ok_or(io::ErrorKind::UnexpectedEof)?;
            Ok(line.into())
        }
    }

    impl Prompter for Script {
        fn ask(&mut self, label: &str) -> io::Result<SecretString> {
            self.next(label, false)
        }

        fn ask_hidden(&mut self, label: &str) -> io::Result<SecretString> {
            self.next(label, true)
        }
    }

    #[test]
    fn asks_for_every_factor_and_hides_the_numbers() {
        let mut who = Script::new(&["62220200", "Wei", "X123456", "passport", "13800138000"]);
        let question = verify(&mut who, Terms::default()).unwrap();
        assert_eq!(question.bank_card.expose_secret(), "62220200");
        assert_eq!(question.identity_type, Some(IdentityType::Passport));
        assert_eq!(question.phone.expose_secret(), "13800138000");
        let hidden: Vec<_> = who.asked.iter().map(|(hidden, _)| *hidden).collect();
        assert_eq!(hidden, [true, false, true, false, false]);
    }

    #[test]
    fn without_an_id_number_it_asks_for_no_phone() {
        let mut who = Script::new(&["62220200", "Wei", ""]);
        let question = verify(&mut who, Terms::default()).unwrap();
        assert_eq!(who.asked.len(), 3);
        assert!(is_empty(&question.id_number) && is_empty(&question.phone));
    }

    #[test]
    fn a_question_without_a_card_or_an_end_is_none() {
        let ask = |lines: &[&'static str]| {
            let asked = verify(&mut Script::new(lines), Terms::default());
            asked.unwrap_err().to_string()
        };
        assert_eq!(ask(&[""]), "nothing to ask without a card number");
        assert_eq!(ask(&["62220200", ""]), "nothing to ask without a name");
        assert_eq!(ask(&["62220200", "Wei"]), "the question was not finished");
        assert!(!ask(&["62220200", "Wei", "1", "4111111111111111"]).contains("4111"));
    }
}
