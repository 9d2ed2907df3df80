//! The picture in docs/performance.md: how old readings are by rate. `./dev bench pipeline --only rates --plot docs/pipeline-age.svg`.

use std::path::Path;

use anyhow::Context;
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::combinators::IntoLogRange;
use plotters::element::{Circle, PathElement};
use plotters::prelude::{IntoDrawingArea, LineSeries, RGBColor, SVGBackend, WHITE};
use plotters::style::{Color, IntoFont};

use crate::scenario::Outcome;

/// Colours that colour-blind readers can tell apart (Okabe, Ito 2008), on white: the pages may be dark.
const CURVES: [(&str, RGBColor); 3] = [("p50", RGBColor(0, 114, 178)), ("p99", RGBColor(230, 159, 0)), ("max", RGBColor(213, 94, 0))];
const INK: RGBColor = RGBColor(40, 40, 40);
const FONT: &str = "sans-serif";

/// Writes the ages of all paced runs of one record a frame, by their rate.
pub fn ages(path: &Path, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let paced = outcomes.iter().filter(|it| it.load.records_per_frame == 1 && it.processors == 1);
    let mut points: Vec<_> = paced.filter_map(|it| Some((it.load.rate?, [it.age.p50, it.age.p99, it.age.max]))).collect();
    points.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (Some((slowest, _)), Some((fastest, _))) = (points.first(), points.last()) else { anyhow::bail!("no paced runs to plot") };
    let ages = || points.iter().flat_map(|(_, ages)| ages.iter().copied());
    let (least, most) = ages().fold((f64::INFINITY, 0.0_f64), |(least, most), age| (least.min(age), most.max(age)));

    let canvas = SVGBackend::new(path, (980, 420)).into_drawing_area();
    canvas.fill(&WHITE)?;
    let rates = (slowest / 1.3..fastest * 1.3).log_scale();
    let mut chart = ChartBuilder::on(&canvas)
        .caption("Age of a reading when its meter knows that it is in Kafka", (FONT, 17).into_font().color(&INK))
        .margin(8)
        .margin_right(20)
        .x_label_area_size(38)
        .y_label_area_size(64)
        .build_cartesian_2d(rates, (least / 1.5..most * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.6))
        .label_style((FONT, 13).into_font().color(&INK))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .x_desc("frames/s of one reading")
        .y_desc("ms")
        .x_label_formatter(&|rate| format!("{rate:.0}"))
        .y_label_formatter(&|age| format!("{age:.0}"))
        .draw()?;
    for (at, (name, colour)) in CURVES.into_iter().enumerate() {
        let curve: Vec<_> = points.iter().map(|(rate, ages)| (*rate, ages[at])).collect();
        chart
            .draw_series(LineSeries::new(curve.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(curve.into_iter().map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font((FONT, 13).into_font().color(&INK))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    canvas.present().with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
