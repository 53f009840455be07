//! The series of one scrape, each of them in the [table](super::reference).
//!
//! The kernel counts, so nothing is kept here between two scrapes: values go straight into
//! the families of the prometheus crate, from which both text formats are written.

use super::reference::{Family, Kind};
use anyhow::{Result, ensure};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// One metric, with the values that it has got so far.
pub(super) struct Series {
    family: &'static Family,
    metrics: Vec<Metric>,
}

impl Series {
    /// A metric of the table, which has no values yet.
    pub(super) const fn new(family: &'static Family) -> Self {
        Self {
            family,
            metrics: Vec::new(),
        }
    }

    /// Adds the value behind these values of the labels; nobody may have done so before.
    ///
    /// # Errors
    /// More or fewer values than the table has labels.
    pub(super) fn add(&mut self, values: &[&str], value: f64) -> Result<()> {
        let Family { name, labels, .. } = self.family;
        ensure!(
            values.len() == labels.len(),
            "{name} has {} labels, not {}",
            labels.len(),
            values.len()
        );
        let pairs = labels.iter().zip(values).map(|(label, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        match self.family.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.metrics.push(metric);
        Ok(())
    }
}

/// What one scrape exports.
#[derive(Default)]
pub(super) struct Scrape(pub(super) Vec<MetricFamily>);

impl Scrape {
    /// Exports a metric; one without a value is left out.
    pub(super) fn export(&mut self, series: Series) {
        if series.metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(series.family.name.to_owned());
        family.set_help(series.family.help.to_owned());
        family.set_field_type(match series.family.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(series.metrics);
        self.0.push(family);
    }

    /// Exports a metric that has no labels.
    ///
    /// # Errors
    /// When it has some.
    pub(super) fn single(&mut self, family: &'static Family, value: f64) -> Result<()> {
        self.one(family, &[], value)
    }

    /// Exports a metric of one series.
    ///
    /// # Errors
    /// As [`Series::add`].
    pub(super) fn one(
        &mut self,
        family: &'static Family,
        values: &[&str],
        value: f64,
    ) -> Result<()> {
        let mut series = Series::new(family);
        series.add(values, value)?;
        self.export(series);
        Ok(())
    }
}
