//! Ratios as a picture: a dot for the median, a line for the interval, a bar for the target.

use std::error::Error;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::by_scenario;
use crate::row::Row;

/// Pixels.
const WIDTH: u32 = 900;
/// Of a row, of a scenario's head and of its axis.
const LINE: u32 = 26;
const HEAD: u32 = 100;

/// Scenarios whose ratios are shown.
const SHOWN: [&str; 4] = ["same-node", "cross-node", "cni", "cni-parallel"];

const MET: RGBColor = RGBColor(27, 120, 55);
const MISSED: RGBColor = RGBColor(178, 24, 43);
const PLAIN: RGBColor = RGBColor(90, 90, 90);

/// An SVG.
///
/// # Errors
/// Where it cannot be drawn.
pub fn plot(rows: &[Row]) -> Result<String> {
    let groups: Vec<_> = by_scenario(rows)
        .into_iter()
        .filter(|(scenario, _)| SHOWN.contains(scenario))
        .map(|(scenario, rows)| (scenario, rows.into_iter().filter(|row| is_compared(row)).collect::<Vec<_>>()))
        .filter(|(_, rows)| !rows.is_empty())
        .collect();
    let heights: Vec<_> = groups.iter().map(|(_, rows)| HEAD + LINE * u32::try_from(rows.len()).unwrap_or(0)).collect();
    let mut text = String::new();
    {
        let root =
            SVGBackend::with_string(&mut text, (WIDTH, heights.iter().sum::<u32>().max(HEAD))).into_drawing_area();
        root.fill(&WHITE).map_err(|error| anyhow!("the plot: {error}"))?;
        let mut rest = root.clone();
        for ((scenario, rows), height) in groups.iter().zip(heights) {
            let (area, below) = rest.split_vertically(height);
            rest = below;
            panel(&area, scenario, rows).map_err(|error| anyhow!("the plot of {scenario}: {error}"))?;
        }
        root.present().map_err(|error| anyhow!("the plot: {error}"))?;
    }
    Ok(text)
}

/// Whether a row has something to compare: the baseline itself has not.
fn is_compared(row: &Row) -> bool {
    row.ratio.is_some() && row.baseline != Some(&row.subject)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn panel(area: &Area<'_>, scenario: &str, rows: &[&Row]) -> Result<(), Box<dyn Error>> {
    let ends = rows.iter().flat_map(|row| {
        let target = row.target.and_then(crate::target::Target::ratio);
        row.ratio_interval.into_iter().flatten().chain(target)
    });
    let (least, most) = ends.fold((1.0, 1.0), |(least, most), end| (f64::min(least, end), f64::max(most, end)));
    // To a tenth, so that the axis begins and ends at a number.
    let (least, most) = (((least - 0.02) * 10.0).floor() / 10.0, ((most + 0.02) * 10.0).ceil() / 10.0);
    let baseline = rows[0].baseline.unwrap_or_default();
    let count = i32::try_from(rows.len())?;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{scenario}: ratio to {baseline}"), ("sans-serif", 16))
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, 220)
        .set_label_area_size(LabelAreaPosition::Bottom, 30)
        .build_cartesian_2d(least..most, (0..count - 1).into_segmented())?;
    let label = |at: &SegmentValue<i32>| match at {
        // From above to below.
        SegmentValue::CenterOf(at) => usize::try_from(count - 1 - at)
            .ok()
            .and_then(|at| rows.get(at))
            .map_or(String::new(), |row| format!("{} {}", row.subject, row.metric)),
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(WHITE)
        .y_labels(rows.len())
        .y_label_formatter(&label)
        .draw()?;
    chart.draw_series([PathElement::new(
        [(1.0, SegmentValue::Exact(0)), (1.0, SegmentValue::Last)],
        PLAIN.stroke_width(1),
    )])?;
    for (row, at) in rows.iter().zip((0..count).rev()) {
        let (Some(ratio), Some([low, high])) = (row.ratio, row.ratio_interval) else { continue };
        let color = row.met.map_or(PLAIN, |met| if met { MET } else { MISSED });
        let middle = SegmentValue::CenterOf(at);
        chart
            .draw_series([PathElement::new([(low, middle.clone()), (high, middle.clone())], color.stroke_width(3))])?;
        chart.draw_series([Circle::new((ratio, middle), 4, color.filled())])?;
        if let Some(bound) = row.target.and_then(crate::target::Target::ratio) {
            let above = if at + 1 == count { SegmentValue::Last } else { SegmentValue::Exact(at + 1) };
            let bar = [(bound, SegmentValue::Exact(at)), (bound, above)];
            chart.draw_series([PathElement::new(bar, color.stroke_width(1))])?;
        }
    }
    Ok(())
}
