//! Finding card, ID and phone numbers in a text.

use std::ops::Range;

/// No personal number has fewer digits.
const FEWEST_DIGITS: usize = 11;
/// Digits of a card number.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// More groups than this in a row are a table, not a number.
const MOST_GROUPS: usize = 16;
/// How far before a number the word may stand that tells what it is.
const WORD_BEFORE: usize = 24;
/// Tokens of hexadecimal digits from this length on are ids and digests.
const HEX_TOKEN: usize = 16;

/// The places of everything that looks personal, in order, none inside another.
pub(super) fn find(text: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = (at..text.len()).find(|at| is_digit(text, *at)) {
        // most digits are those of times and counts: nothing is collected for them
        let (mut digits, mut end) = (0, start);
        for group in groups(text, start) {
            digits += group.len();
            end = group.end;
        }
        if digits >= FEWEST_DIGITS {
            let groups: Vec<_> = groups(text, start).collect();
            look_at(text, &groups, &mut found);
        }
        at = end;
    }
    found
}

/// Digits, and further digits behind single separators.
fn groups(text: &[u8], start: usize) -> impl Iterator<Item = Range<usize>> {
    let mut next = Some(start);
    let group = move || {
        let begun = next.take()?;
        let more = text.get(begun..).unwrap_or_default().iter();
        let end = begun + more.take_while(|byte| byte.is_ascii_digit()).count();
        let after = end + separator(text, end);
        next = Some(after).filter(|after| *after != end && is_digit(text, *after));
        Some(begun..end)
    };
    std::iter::from_fn(group).take(MOST_GROUPS)
}

/// The length of a separator as people and URLs put it into numbers; 0 where there is none.
fn separator(text: &[u8], at: usize) -> usize {
    match text.get(at..).unwrap_or_default() {
        [b' ' | b'-', ..] => 1,
        [b'%', b'2', b'0', ..] => 3,
        _ => 0,
    }
}

fn look_at(text: &[u8], groups: &[Range<usize>], found: &mut Vec<Range<usize>>) {
    let mut first = 0;
    while first < groups.len() {
        let rest = groups.get(first..).unwrap_or_default();
        let longest = (1..=rest.len())
            .rev()
            .find_map(|count| Some((count, number(text, rest.get(..count)?)?)));
        match longest {
            Some((count, range)) => {
                found.push(range);
                first += count;
            }
            None => first += 1,
        }
    }
}

/// The place of a number that is made of exactly these groups, if it is a personal one.
fn number(text: &[u8], groups: &[Range<usize>]) -> Option<Range<usize>> {
    let (start, mut end) = (groups.first()?.start, groups.last()?.end);
    let mut digits = Vec::with_capacity(CARD_DIGITS.end() + 1);
    for group in groups {
        digits.extend_from_slice(text.get(group.clone())?);
        if digits.len() > *CARD_DIGITS.end() {
            return None;
        }
    }
    let lengths: Vec<usize> = groups.iter().map(Range::len).collect();
    let x = text
        .get(end)
        .copied()
        .filter(|next| matches!(next, b'x' | b'X'));
    if let Some(x) = x
        && digits.len() == 17
    {
        digits.push(x);
        end += 1;
    }
    let alone = stands_alone(text, start, end, groups.len() > 1);
    let personal = alone
        && (is_card(&digits, &lengths)
            || is_resident_id(&digits, &lengths)
            || is_phone(text, start, &digits, &lengths));
    personal.then_some(start..end)
}

/// Whether a number is not a part of something longer.
fn stands_alone(text: &[u8], start: usize, end: usize, grouped: bool) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let after = text.get(end..).unwrap_or_default();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric();
    let fraction_before = matches!(before, [.., digit, b'.'] if digit.is_ascii_digit());
    let fraction_after = matches!(after, [b'.', digit, ..] if digit.is_ascii_digit());
    if fraction_before || fraction_after {
        return false;
    }
    if grouped {
        // groups of digits inside a UUID and the like
        let joined_before = matches!(before, [.., word, b'-'] if is_word(word));
        let joined_after = matches!(after, [b'-', word, ..] if is_word(word));
        return !before.last().is_some_and(is_word)
            && !after.first().is_some_and(is_word)
            && !joined_before
            && !joined_after;
    }
    let left = before.iter().rev().take_while(|it| is_word(it)).count();
    let right = after.iter().take_while(|it| is_word(it)).count();
    let token = text.get(start - left..end + right).unwrap_or_default();
    let hexadecimal = token.len() >= HEX_TOKEN && token.iter().all(u8::is_ascii_hexdigit);
    left + right == 0 || !hexadecimal
}

/// A right Luhn digit behind a first digit that cards have: 0 and 1 begin times since 1970.
fn is_card(digits: &[u8], lengths: &[usize]) -> bool {
    let usual = match lengths {
        [_] | [4, 6, 4 | 5] | [6, 7..=13] => true,
        [fours @ .., last] => fours.iter().all(|length| *length == 4) && (1..=4).contains(last),
        [] => false,
    };
    let starts = digits
        .first()
        .is_some_and(|first| (b'2'..=b'9').contains(first));
    usual && starts && CARD_DIGITS.contains(&digits.len()) && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let mut sum = 0_u32;
    for (place, digit) in digits.iter().rev().enumerate() {
        if !digit.is_ascii_digit() {
            return false;
        }
        let digit = u32::from(digit - b'0');
        let doubled = digit * 2;
        sum += match place % 2 {
            0 => digit,
            _ if doubled > 9 => doubled - 9,
            _ => doubled,
        };
    }
    sum.is_multiple_of(10)
}

/// GB 11643: 17 digits with a date in them, and a check character.
fn is_resident_id(characters: &[u8], lengths: &[usize]) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: &[u8; 11] = b"10X98765432";
    let usual = matches!(lengths, [17 | 18] | [6, 8, 3 | 4]);
    let Some((digits, check)) = characters.split_at_checked(WEIGHTS.len()) else {
        return false;
    };
    let [check] = check else { return false };
    let value = |from: usize, to: usize| {
        let part = digits.get(from..to).unwrap_or_default();
        part.iter().fold(0, |sum, digit| {
            sum * 10 + u32::from(digit.wrapping_sub(b'0'))
        })
    };
    let a_date = (1900..2100).contains(&value(6, 10))
        && (1..=12).contains(&value(10, 12))
        && (1..=31).contains(&value(12, 14));
    let sum: u32 = digits
        .iter()
        .zip(WEIGHTS)
        .map(|(digit, weight)| u32::from(digit.wrapping_sub(b'0')) * weight)
        .sum();
    let right = CHECKS.get(sum as usize % CHECKS.len());
    usual && a_date && right == Some(&check.to_ascii_uppercase())
}

/// A mobile number of mainland China, where its country code or a word before it says so: eleven
/// digits alone could be anything.
fn is_phone(text: &[u8], start: usize, digits: &[u8], lengths: &[usize]) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let (own, coded) = match (digits, lengths) {
        (all, [11] | [3, 4, 4]) => (all, false),
        (all, [13] | [2, 11] | [2, 3, 4, 4]) if before.ends_with(b"+") => {
            (all.strip_prefix(b"86").unwrap_or_default(), true)
        }
        (all, [15] | [4, 11] | [4, 3, 4, 4]) => {
            (all.strip_prefix(b"0086").unwrap_or_default(), true)
        }
        _ => return false,
    };
    let mobile = own.len() == 11 && matches!(own, [b'1', b'3'..=b'9', ..]);
    mobile && (coded || a_phone_is_announced(before))
}

fn a_phone_is_announced(before: &[u8]) -> bool {
    const WORDS: [&[u8]; 3] = [b"phone", b"mobile", b"msisdn"];
    let near = before.len().saturating_sub(WORD_BEFORE);
    let near = before.get(near..).unwrap_or_default().to_ascii_lowercase();
    WORDS
        .iter()
        .any(|word| near.windows(word.len()).any(|part| part == *word))
}

fn is_digit(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(u8::is_ascii_digit)
}
