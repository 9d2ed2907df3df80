//! Pictures for docs/estimator.md: `./dev figures estimator --plot`.

mod filter;
mod nis;
mod verdicts;

use std::path::{Path, PathBuf};

use anyhow::Context;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::{Circle, Cross, PathElement, Rectangle, Text, TriangleMarker};
use plotters::prelude::{Cartesian2d, DrawingArea, IntoDrawingArea, RGBColor, SVGBackend, WHITE};
use plotters::style::{Color, IntoFont};

/// Colours that colour-blind readers can tell apart (Okabe, Ito 2008), on white: the pages may be dark.
const TRUTH: RGBColor = RGBColor(40, 40, 40);
const RAW: RGBColor = RGBColor(160, 160, 160);
const FILTERED: RGBColor = RGBColor(0, 114, 178);
const ALARM: RGBColor = RGBColor(213, 94, 0);
const STEP: RGBColor = RGBColor(0, 158, 115);
const SHIFT: RGBColor = RGBColor(204, 121, 167);
const NOTE: RGBColor = RGBColor(230, 159, 0);

const FONT: &str = "sans-serif";
const WIDTH: u32 = 980;
/// Of it, what is left of the key.
const CHART_WIDTH: u32 = 790;
/// Opacity of bands.
const BAND: f64 = 0.22;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws all of them.
pub fn all(seed: u64) -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    filter::draw(&place(&docs, "filter"), seed)?;
    nis::draw(&place(&docs, "nis"), seed)?;
    verdicts::draw(&place(&docs, "verdicts"), seed)
}

fn place(docs: &Path, name: &str) -> PathBuf {
    docs.join(format!("estimator-{name}.svg"))
}

/// An empty picture of this height, to be drawn on and then presented.
fn canvas(path: &Path, height: u32) -> anyhow::Result<Canvas<'_>> {
    let canvas = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    canvas.fill(&WHITE)?;
    Ok(canvas)
}

fn finish(canvas: &Canvas<'_>, path: &Path) -> anyhow::Result<()> {
    canvas.present().with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// What a chart shows: its title, what its axes are, and from where to where they go.
struct Axes<'t> {
    title: &'t str,
    x: (&'t str, f64, f64),
    y: (&'t str, f64, f64),
}

fn chart<'a, 'b>(canvas: &Canvas<'b>, axes: &Axes<'_>) -> anyhow::Result<Chart<'a, 'b>> {
    let (x_name, x_low, x_high) = axes.x;
    let (y_name, y_low, y_high) = axes.y;
    let mut chart = ChartBuilder::on(canvas)
        .caption(axes.title, (FONT, 17).into_font().color(&TRUTH))
        .margin(8)
        .margin_right(20)
        .x_label_area_size(38)
        .y_label_area_size(64)
        .build_cartesian_2d(x_low..x_high, y_low..y_high)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE.mix(0.0))
        .bold_line_style(TRUTH.mix(0.12))
        .axis_style(TRUTH.mix(0.6))
        .label_style((FONT, 13).into_font().color(&TRUTH))
        .axis_desc_style((FONT, 14).into_font().color(&TRUTH))
        .x_desc(x_name)
        .y_desc(y_name)
        .y_labels(6)
        .x_labels(10)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    Ok(chart)
}

/// How something is drawn, for the key.
#[derive(Clone, Copy)]
enum Mark {
    Line(RGBColor),
    Dot(RGBColor),
    Band(RGBColor),
    Cross(RGBColor),
    Triangle(RGBColor),
}

/// The key, on an area of its own: beside the data, never over them.
fn key(area: &Canvas<'_>, entries: &[(Mark, &str)]) -> anyhow::Result<()> {
    for (number, (mark, text)) in (0..).zip(entries) {
        let (x, y) = (12, 52 + 24 * number);
        match *mark {
            Mark::Line(colour) => area.draw(&PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)))?,
            Mark::Dot(colour) => area.draw(&Circle::new((x + 9, y), 3, colour.filled()))?,
            Mark::Band(colour) => area.draw(&Rectangle::new([(x, y - 6), (x + 18, y + 6)], colour.mix(BAND).filled()))?,
            Mark::Cross(colour) => area.draw(&Cross::new((x + 9, y), 5, colour.stroke_width(2)))?,
            Mark::Triangle(colour) => area.draw(&TriangleMarker::new((x + 9, y), 5, colour.filled()))?,
        }
        area.draw(&Text::new(*text, (x + 28, y - 6), (FONT, 13).into_font().color(&TRUTH)))?;
    }
    Ok(())
}

/// The smallest and largest of these, with a margin.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.into_iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let margin = 0.08 * (high - low);
    (low - margin, high + margin)
}
