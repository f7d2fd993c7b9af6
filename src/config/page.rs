//! `docs/CONFIGURATION.md`, written from the embedded default.
//!
//! The file is read as text, because what it explains stands in its comments: a block of comments
//! belongs to the key or table header right below it, and one that a blank line follows stands for
//! itself.

use super::{DEFAULT, reload::live_reloadable};

const HEAD: &str = "\
# Configuration

<!-- Written by `cargo run --example generate-docs -- --write` from config/default.toml: do not edit here. -->

One TOML file (`--config FILE`, or the variable `CARDPROOF_CONFIG`) is laid over the embedded default
[config/default.toml](../config/default.toml), key by key: it holds only what you decide differently. A list replaces
the list of the default as a whole. Every key there is, is on this page; any other is refused, as is every other
variable that begins with `CARDPROOF__`.

- **Variables** come last: `CARDPROOF__SERVER__MAX_DEADLINE_MS=5000` sets `server.max_deadline_ms`. The value is read as
  TOML and, where it is none, as text.
- **Secrets** never stand in a configuration. They are `{ env = \"NAME\" }`, a variable of the environment, or
  `{ file = \"PATH\" }`, a file whose closing line break does not count.
- **Checking**: `cardproof check-config --config FILE` names everything that is wrong, one line for each problem, and
  ends with 64 if there is one. The start does the same.
- **live**: whether a change takes effect while the service runs, when the file changes or upon SIGHUP. Any other change
  needs a restart.
- **–** in the column of defaults: none, or the one that the explanation names.
";

/// A key of a table.
struct Key<'a> {
    name: &'a str,
    value: &'a str,
    has_default: bool,
    explanation: String,
}

/// What stands in a table, in order.
enum Item<'a> {
    Text(String),
    Key(Key<'a>),
}

struct Section<'a> {
    /// `server.tls`; empty at the top.
    path: &'a str,
    intro: String,
    items: Vec<Item<'a>>,
}

/// The whole page.
#[must_use]
pub fn configuration_page() -> String {
    let sections = read(DEFAULT);
    let mut text = HEAD.to_owned();
    text.push_str("\nTables: ");
    let links = sections.iter().map(|section| {
        let title = title(section);
        let anchor: String = title
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        format!("[{title}](#{anchor})")
    });
    text.push_str(&links.collect::<Vec<_>>().join(" · "));
    text.push('\n');
    for section in &sections {
        text.push_str(&render(section));
    }
    text
}

fn title(section: &Section<'_>) -> String {
    if section.path.is_empty() {
        "at the top".to_owned()
    } else {
        section.path.to_owned()
    }
}

fn read(source: &str) -> Vec<Section<'_>> {
    let mut sections = vec![Section {
        path: "",
        intro: String::new(),
        items: Vec::new(),
    }];
    let mut comment = String::new();
    for line in source.lines() {
        let setting = line.strip_prefix('#').unwrap_or(line);
        if line.starts_with("# ") || line == "#" {
            comment.push_str(setting.trim_start());
            comment.push(' ');
            continue;
        }
        let explanation = std::mem::take(&mut comment).trim().to_owned();
        let header = setting
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(path) = header {
            sections.push(Section {
                path,
                intro: explanation,
                items: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        if let Some((name, value)) = setting.split_once(" = ") {
            section.items.push(Item::Key(Key {
                name,
                value,
                has_default: !line.starts_with('#'),
                explanation,
            }));
        } else if !explanation.is_empty() {
            section.items.push(Item::Text(explanation));
        }
    }
    // what the file says about itself at its head is said by the page's own head
    if let Some(top) = sections.first_mut() {
        top.items.retain(|item| matches!(item, Item::Key(_)));
    }
    sections
}

fn render(section: &Section<'_>) -> String {
    const TABLE: &str = "| key | default | live | |\n| --- | --- | --- | --- |\n";
    let mut text = format!("\n## {}\n", title(section));
    if !section.intro.is_empty() {
        text.push_str(&format!("\n{}\n", section.intro));
    }
    let mut in_table = false;
    for item in &section.items {
        match item {
            Item::Text(paragraph) => {
                text.push_str(&format!("\n{paragraph}\n"));
                in_table = false;
            }
            Item::Key(key) => {
                if !in_table {
                    text.push_str(&format!("\n{TABLE}"));
                    in_table = true;
                }
                text.push_str(&row(section.path, key));
            }
        }
    }
    text
}

fn row(section: &str, key: &Key<'_>) -> String {
    let path = match section {
        "" => key.name.to_owned(),
        section => format!("{section}.{}", key.name),
    };
    let default = if key.has_default {
        format!("`{}`", key.value)
    } else {
        "–".to_owned()
    };
    let example = if key.has_default {
        String::new()
    } else {
        format!("Example: `{}`", key.value)
    };
    let live = if live_reloadable(&path) { "yes" } else { "" };
    let explanation = [key.explanation.as_str(), &example]
        .map(str::trim)
        .join(" ");
    format!(
        "| `{}` | {default} | {live} | {} |\n",
        key.name,
        explanation.trim().replace('|', "\\|")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_up_to_date() {
        let committed = include_str!("../../docs/CONFIGURATION.md");
        assert!(
            committed == configuration_page(),
            "docs/CONFIGURATION.md differs: cargo run --example generate-docs -- --write"
        );
    }

    #[test]
    fn a_comment_belongs_to_what_stands_right_below_it() {
        let source = "# head\n\n# about a\na = 1\n\n# about b\n# in two lines\n[b]\n# alone\n\n\
                      #c = \"x|y\"\n";
        let sections = read(source);
        assert_eq!(sections.len(), 2);
        assert_eq!(
            render(&sections[0]).lines().last(),
            Some("| `a` | `1` |  | about a |")
        );
        assert_eq!(sections[1].intro, "about b in two lines");
        let rendered = render(&sections[1]);
        assert!(rendered.contains("\nalone\n"), "{rendered}");
        assert_eq!(
            rendered.lines().last(),
            Some("| `c` | – |  | Example: `\"x\\|y\"` |")
        );
    }

    /// The parser of TOML counts the keys of the default in a second way.
    #[test]
    fn every_key_with_a_default_has_a_row() {
        fn leaves(table: &toml::Table) -> usize {
            let count = |value: &toml::Value| value.as_table().map_or(1, leaves);
            table.values().map(count).sum()
        }
        let all: toml::Table = DEFAULT.parse().unwrap();
        let with_default = read(DEFAULT)
            .iter()
            .flat_map(|section| &section.items)
            .filter(|item| matches!(item, Item::Key(key) if key.has_default))
            .count();
        assert_eq!(with_default, leaves(&all));
    }
}
