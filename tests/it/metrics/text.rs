//! A strict reader of Prometheus' text format, written from its description alone.

use std::collections::{BTreeMap, BTreeSet};

/// The metrics of one text.
#[derive(Debug, Default)]
pub struct Text {
    /// Name to type, in order of appearance.
    pub types: Vec<(String, String)>,
    /// Series, as `name{a="x",b="y"}` with sorted labels, to value.
    pub samples: BTreeMap<String, f64>,
    /// Names of labels by family, `le` left out.
    pub labels: BTreeMap<String, BTreeSet<String>>,
}

type Labels = Vec<(String, String)>;

impl Text {
    /// Reads a text; panics where it breaks a rule.
    pub fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut read = Self::default();
        let mut help = None;
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# HELP ") {
                let (name, words) = comment.split_once(' ').expect("a help text");
                assert!(!words.trim().is_empty(), "{name} has no help");
                help = Some(name.to_owned());
            } else if let Some(comment) = line.strip_prefix("# TYPE ") {
                let (name, kind) = comment.split_once(' ').expect("a type");
                assert_eq!(help.take().as_deref(), Some(name), "help comes before type");
                assert!(
                    read.types.iter().all(|(other, _)| other != name),
                    "{name} comes twice"
                );
                read.types.push((name.to_owned(), kind.to_owned()));
            } else {
                read.sample(line);
            }
        }
        read.check_histograms();
        read
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, labels(rest)),
            None => (series, Vec::new()),
        };
        assert!(is_name(name), "{name}");
        let (family, kind) = self.types.last().expect("a type before the first sample");
        let fine = match kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| name == format!("{family}{end}")),
            "counter" | "gauge" => name == family,
            other => panic!("unknown type {other}"),
        };
        assert!(fine, "{name} stands under {family}");
        let names = self.labels.entry(family.clone()).or_default();
        names.extend(labels.iter().map(|it| it.0.clone()).filter(|it| it != "le"));
        let value: f64 = value.parse().expect("a number");
        assert!(value.is_finite() && (kind == "gauge" || value >= 0.0));
        let known = self.samples.insert(series_of(name, labels), value);
        assert!(known.is_none(), "a series comes twice: {line}");
    }

    /// Buckets never fall, the last is the count, and each histogram has its sum.
    fn check_histograms(&self) {
        for (count, total) in &self.samples {
            let Some((name, rest)) = count.split_once("_count") else {
                continue;
            };
            assert!(self.samples.contains_key(&format!("{name}_sum{rest}")));
            let inside = rest.trim_start_matches('{').trim_end_matches('}');
            let own = |series: &str| {
                inside.split(',').all(|label| series.contains(label))
                    && series.starts_with(&format!("{name}_bucket{{"))
            };
            let mut buckets: Vec<(f64, f64)> = self
                .samples
                .iter()
                .filter(|(series, _)| own(series))
                .map(|(series, value)| {
                    let bound = series.split("le=\"").nth(1).unwrap();
                    let bound = bound.split('"').next().unwrap();
                    (bound.replace("+Inf", "inf").parse().unwrap(), *value)
                })
                .collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1));
            assert_eq!(buckets.last(), Some(&(f64::INFINITY, *total)), "{count}");
        }
    }

    /// Everything above zero that is a count: counters, and the counts of histograms.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let is_count = |series: &str| {
            let name = series.split('{').next().unwrap();
            name.ends_with("_total") || name.ends_with("_count")
        };
        self.samples
            .iter()
            .filter(|(series, value)| is_count(series) && **value > 0.0)
            .map(|(series, value)| (series.clone(), *value as u64))
            .collect()
    }
}

fn series_of(name: &str, mut labels: Labels) -> String {
    if labels.is_empty() {
        return name.to_owned();
    }
    labels.sort();
    assert!(
        labels.windows(2).all(|two| two[0].0 != two[1].0),
        "a label comes twice"
    );
    let labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// What stands behind `{`.
fn labels(mut rest: &str) -> Labels {
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").expect("a value in quotes");
        assert!(is_name(name) && !name.contains(':'), "{name}");
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next().expect("the end of a value") {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match characters.next().expect("an escape").1 {
                    'n' => '\n',
                    escaped @ ('\\' | '"') => escaped,
                    other => panic!("no escape: {other}"),
                }),
                (_, plain) => value.push(plain),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end..];
        if rest == "}" {
            return labels;
        }
        rest = rest.strip_prefix(',').expect("a comma");
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

#[test]
#[should_panic(expected = "a series comes twice")]
fn the_reader_refuses_what_comes_twice() {
    Text::read("# HELP a x\n# TYPE a gauge\na{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n");
}

#[test]
#[should_panic(expected = "stands under")]
fn the_reader_refuses_what_stands_elsewhere() {
    Text::read("# HELP a x\n# TYPE a counter\nb 1\n");
}
