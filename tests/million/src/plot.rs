//! Refreshes a second over the hours, as SVG.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

use crate::run::{Figures, Scale};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
/// Seconds of one point.
const STEP: usize = 20;

/// One picture of each run.
pub(crate) fn write(folder: &Path, scale: &Scale, with: &Figures, without: &Figures) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("with-jitter.svg"), picture(scale, with, "with jitter"))?;
    fs::write(folder.join("without-jitter.svg"), picture(scale, without, "without jitter"))
}

fn picture(scale: &Scale, figures: &Figures, name: &str) -> String {
    let top = f64::from(scale.limit) * 2.0;
    let x = |second: usize| LEFT + WIDTH * second as f64 / scale.seconds as f64;
    let y = |rate: f64| TOP + HEIGHT - HEIGHT * (rate / top).min(1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{} credentials {name}: requests (grey) and refreshes (blue) a \
         second at the token endpoint</text>\n",
        WIDTH + LEFT + 20.0,
        HEIGHT + TOP + 50.0,
        scale.credentials,
    );
    let (from, to) = (x(scale.outage.start), x(scale.outage.end));
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"#fbd5d5\"/>\n\
         <text x=\"{from:.1}\" y=\"{:.1}\">outage</text>",
        to - from,
        TOP + 14.0,
    );
    let _ = writeln!(
        svg,
        "<path d=\"M{0:.1} {TOP}V{1}\" stroke=\"#888\" stroke-dasharray=\"4\"/>\n\
         <text x=\"{2:.1}\" y=\"{3:.1}\">restart</text>",
        x(scale.restart),
        TOP + HEIGHT,
        x(scale.restart) + 4.0,
        TOP + 14.0,
    );
    for hour in 0..=scale.seconds / 3600 {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\">{hour} h</text>",
            x(hour * 3600) - 6.0,
            TOP + HEIGHT + 18.0
        );
    }
    for rate in [0.0, 0.5, 1.0, 1.5, 2.0].map(|share| share * f64::from(scale.limit)) {
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {0:.1}H{1}\" stroke=\"#ddd\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{rate}</text>",
            y(rate),
            LEFT + WIDTH,
            LEFT - 6.0,
            y(rate) + 4.0,
        );
    }
    for (counts, colour) in [(&figures.asked, "#999"), (&figures.refreshed, "#1f5fbf")] {
        svg.push_str("<polyline fill=\"none\" points=\"");
        for (at, chunk) in counts.chunks(STEP).enumerate() {
            let rate = chunk.iter().copied().map(f64::from).sum::<f64>() / chunk.len() as f64;
            let _ = write!(svg, "{:.1},{:.1} ", x(at * STEP), y(rate));
        }
        let _ = writeln!(svg, "\" stroke=\"{colour}\" stroke-width=\"1.2\"/>");
    }
    svg.push_str("</svg>\n");
    svg
}
