//! Instruments whose label values are all known beforehand.

use std::{borrow::Cow, sync::OnceLock};

use opentelemetry::{
    Key, KeyValue,
    metrics::{BoundCounter, BoundGauge, BoundHistogram, Counter, Gauge, Histogram},
};

use super::table::Row;

/// The values that one label may have; its places in a [`Family`] are its indices.
pub(super) type Values = Vec<Cow<'static, str>>;

/// The values of a closed vocabulary.
pub(super) fn words(words: impl IntoIterator<Item = &'static str>) -> Values {
    words.into_iter().map(Cow::Borrowed).collect()
}

/// An instrument that can be tied to a set of labels.
pub(super) trait Bindable {
    /// The instrument once it is tied.
    type Bound;
    /// Ties it; from then on the series is exposed, beginning with zero.
    fn bind_to(&self, labels: &[KeyValue]) -> Self::Bound;
}

impl Bindable for Counter<u64> {
    type Bound = BoundCounter<u64>;
    fn bind_to(&self, labels: &[KeyValue]) -> Self::Bound {
        let bound = self.bind(labels);
        // a series without labels is not exposed by the SDK before something was added
        bound.add(0);
        bound
    }
}

impl Bindable for Histogram<f64> {
    type Bound = BoundHistogram<f64>;
    fn bind_to(&self, labels: &[KeyValue]) -> Self::Bound {
        self.bind(labels)
    }
}

impl Bindable for Gauge<i64> {
    type Bound = BoundGauge<i64>;
    fn bind_to(&self, labels: &[KeyValue]) -> Self::Bound {
        self.bind(labels)
    }
}

/// One instrument with a place for every combination of its labels' values.
///
/// A place is tied when it is used first; after that, finding it is a little arithmetic, and
/// nothing is allocated or looked up.
pub(super) struct Family<I: Bindable, const N: usize> {
    instrument: I,
    keys: [Key; N],
    values: [Values; N],
    places: Box<[OnceLock<I::Bound>]>,
}

impl<I: Bindable, const N: usize> Family<I, N> {
    /// A family of the instrument of a row of the table. Its labels come in the row's order.
    pub(super) fn new(row: &Row, instrument: I, values: [Values; N]) -> Self {
        debug_assert_eq!(row.labels.len(), N);
        let keys = std::array::from_fn(|at| Key::from(row.labels.get(at).map_or("", |it| it.0)));
        Self {
            instrument,
            keys,
            places: (0..combinations(&values))
                .map(|_| OnceLock::new())
                .collect(),
            values,
        }
    }

    /// The instrument at the given index of each label; `None` beyond the known values.
    pub(super) fn at(&self, indices: [usize; N]) -> Option<&I::Bound> {
        let mut place = 0;
        for (values, index) in self.values.iter().zip(indices) {
            if index >= values.len() {
                return None;
            }
            place = place * values.len() + index;
        }
        let place = self.places.get(place)?;
        Some(place.get_or_init(|| self.tie(indices)))
    }

    /// Exposes every combination with zero from the start, so that the first event is a rise.
    pub(super) fn all_at_zero(self) -> Self {
        for mut place in 0..self.places.len() {
            let mut indices = [0; N];
            for (index, values) in indices.iter_mut().zip(&self.values).rev() {
                *index = place % values.len();
                place /= values.len();
            }
            let _tied = self.at(indices);
        }
        self
    }

    #[cold]
    fn tie(&self, indices: [usize; N]) -> I::Bound {
        let mut labels: Vec<KeyValue> = self
            .keys
            .iter()
            .zip(&self.values)
            .zip(indices)
            .filter_map(|((key, values), index)| {
                let value = values.get(index)?;
                Some(KeyValue::new(key.clone(), value.clone()))
            })
            .collect();
        // the SDK keeps unsorted sets twice
        labels.sort_by(|one, other| one.key.cmp(&other.key));
        self.instrument.bind_to(&labels)
    }
}

/// How many series there can be.
pub(super) fn combinations(values: &[Values]) -> usize {
    values.iter().map(Vec::len).product()
}
