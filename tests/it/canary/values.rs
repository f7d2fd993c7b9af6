//! The values that stand nowhere else.

/// Valid by its Luhn digit.
pub const CARD: &str = "6222029137465028372";
pub const NAME: &str = "Zephyrine·欧阳卡娜";
/// Valid by its check character.
pub const ID_NUMBER: &str = "11010119850307273X";
pub const PHONE: &str = "13912783465";
pub const CONSENT: &str = "agreed-on-sheet-q7x93kd1w";
/// What all request ids of these tests begin with.
pub const REQUEST_IDS: &str = "9d1f4c7e-53ab-4e0c-8a6d";

/// Secrets by the variable that they are in.
pub const SECRETS: [(&str, &str); 7] = [
    ("ACE_TOKEN", "acetok-7hQ2vKx9LmZ4pTd8"),
    ("TENCENT_ID", "AKIDq83NfUw6YsLb51Rv"),
    ("TENCENT_KEY", "tk-Gm5yXe2BzQ8wJcV4hRk7"),
    ("ALIBABA_ID", "LTAI5tVq9ZkXc3MnWb7d"),
    ("ALIBABA_SECRET", "as-Ud6fPz1NqYt3LsHx8jWo"),
    ("CACHE_KEY", "ck-4jW9sBvE7rTgQ2mYzLxK8fHn"),
    ("ADMIN_TOKEN", "at-Xp5cMv8ZkTq2HdRw9yLj"),
];
pub const PROXY_PASSWORD: &str = "pw7Kq3Zt9VbXm2";

pub fn secret(name: &str) -> &'static str {
    let found = SECRETS.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| panic!("no secret {name}"), |(_, value)| value)
}
