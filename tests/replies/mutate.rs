//! Replies that vendors do send, and what becomes of them when bytes and members go wrong.

use super::{dice::Dice, judge::Vendor};

pub fn seeds(vendor: Vendor) -> &'static [&'static str] {
    match vendor {
        Vendor::Ace => &[
            r#"{"result":"0","description":"Authentication passed"}"#,
            r#"{"result":"0","description":"认证通过","trace_id":"a-1"}"#,
            r#"{"result":0}"#,
            r#"{"result":"-1","description":"Authentication not passed"}"#,
            r#"{"result":"-3","description":"身份证号码有误"}"#,
            r#"{"success":true,"result":"0","description":"Query successful","account_bank":"招商银行","account_type":2}"#,
            r#"{"success":false,"error":{"code":"too_many_requests","message":"x"},"trace_id":"b"}"#,
            r#"{"error":"boom"}"#,
        ],
        Vendor::Tencent => &[
            r#"{"Response":{"Result":"0","Description":"Authentication passed","RequestId":"a-1"}}"#,
            r#"{"Response":{"Result":"0","Description":"认证通过"}}"#,
            r#"{"Response":{"Result":"-4","Description":"持卡人信息有误","RequestId":"a-1"}}"#,
            r#"{"Response":{"AccountBank":"招商银行","AccountType":1,"Description":"查询成功","RequestId":"a","Result":"0"}}"#,
            r#"{"Response":{"AccountBank":"","AccountType":-1,"Result":"-1","Description":"未查到信息"}}"#,
            r#"{"Response":{"Error":{"Code":"InternalError","Message":"x"},"RequestId":"b-2"}}"#,
        ],
        Vendor::Alibaba => &[
            r#"{"RequestId":"A-1","Code":"200","Message":"success","ResultObject":{"BizCode":"1","SubCode":"101"}}"#,
            r#"{"Code":"Success","ResultObject":{"BizCode":"1"}}"#,
            r#"{"Code":"SUCCESS","ResultObject":{"BizCode":"1","SubCode":""}}"#,
            r#"{"Code":"200","ResultObject":{"BizCode":"2","SubCode":"201"}}"#,
            r#"{"Code":"200","ResultObject":{"BizCode":"3","SubCode":"305"}}"#,
            r#"{"RequestId":"B","HostId":"h","Code":"Throttling.Api","Message":"x","Recommend":"y"}"#,
            r#"{"code":"403","message":"x"}"#,
        ],
    }
}

fn pick<'a>(dice: &mut Dice, from: &[&'a str]) -> &'a str {
    from[dice.below(from.len())]
}

/// What makes a difference in a reply.
const PARTS: &[&str] = &[
    "\"result\"",
    "\"Result\"",
    "\"error\"",
    "\"Error\"",
    "\"success\"",
    "\"Response\"",
    "\"Code\"",
    "\"code\"",
    "\"ResultObject\"",
    "\"resultobject\"",
    "\"BizCode\"",
    "\"SubCode\"",
    "\"RequestId\"",
    "\"description\"",
    "\"Description\"",
    "\"AccountType\"",
    "\"account_bank\"",
    "\"trace_id\"",
    "\"0\"",
    "\"00\"",
    "\" 0\"",
    "\"-1\"",
    "\"1\"",
    "\"2\"",
    "\"3\"",
    "\"101\"",
    "\"201\"",
    "\"200\"",
    "\"Success\"",
    "\"success\"",
    "\"\"",
    "0",
    "-0",
    "0.0",
    "0e0",
    "1",
    "null",
    "true",
    "false",
    "{}",
    "[]",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\u0030",
    "\\",
    "\u{feff}",
    "\u{0}",
    "\"Authentication passed\"",
    "\"认证通过\"",
    "\"Card confiscated\"",
    "\"查询成功\"",
    "\"No information found\"",
    "\"error\":null,",
    "\"result\":\"0\",",
    "\"Result\":\"0\",",
    "\"Result\":\"-1\",",
    "\"SubCode\":\"101\",",
    "\"BizCode\":\"1\",",
    "\"Code\":\"200\",",
    "\"success\":true,",
    "6222020000000000000",
    "张三",
];

/// A reply: one in twelve is random bytes, the others come from what vendors send.
pub fn reply(vendor: Vendor, dice: &mut Dice) -> Vec<u8> {
    let seeds = seeds(vendor);
    if dice.below(12) == 0 {
        let length = dice.below(96);
        return (0..length).map(|_| dice.byte()).collect();
    }
    let mut body = pick(dice, seeds).as_bytes().to_vec();
    // none at all now and then: what is right has to stay right
    for _ in 0..dice.below(5) {
        mutate(&mut body, seeds, dice);
    }
    body
}

fn mutate(body: &mut Vec<u8>, seeds: &[&str], dice: &mut Dice) {
    let at = dice.below(body.len() + 1);
    match dice.below(8) {
        0 if at < body.len() => body[at] = dice.byte(),
        1 => body.insert(at, dice.byte()),
        2 if at < body.len() => drop(body.remove(at)),
        3 if at < body.len() => body[at] ^= 1 << dice.below(8),
        // a part where a value, a key or nothing stood
        4 => replace_part(body, at, dice),
        5 => drop(body.splice(at..at, pick(dice, PARTS).bytes())),
        // after a bracket, where a member belongs
        6 => {
            let place = body.iter().skip(at).position(|byte| *byte == b'{');
            if let Some(place) = place {
                let part = pick(dice, PARTS);
                body.splice(at + place + 1..at + place + 1, part.bytes());
            }
        }
        _ => {
            let other = pick(dice, seeds).as_bytes();
            let cut = dice.below(other.len());
            body.truncate(at);
            body.extend_from_slice(&other[cut..]);
        }
    }
}

/// Replaces the text around a place, quotes included.
fn replace_part(body: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let Some(start) = body.iter().take(at).rposition(|byte| *byte == b'"') else {
        return;
    };
    let Some(length) = body.iter().skip(start + 1).position(|byte| *byte == b'"') else {
        return;
    };
    let part = pick(dice, PARTS);
    body.splice(start..start + length + 2, part.bytes());
}
