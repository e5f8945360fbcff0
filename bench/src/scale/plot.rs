//! Plots of the results as SVG: both axes logarithmic, one line for each waiter, with its own colour, marker and name.

use super::Outcome;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The palette of Okabe and Ito, whose colours are distinct for readers with colour blindness too.
const COLOURS: [&str; 8] =
    ["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f"];

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 460.0;
/// The position of the axes: left, right, top, bottom.
const AREA: [f64; 4] = [70.0, 560.0, 50.0, 410.0];
/// The distance between names.
const LINE: f64 = 16.0;

/// Writes the plots of CPU, memory and delay to this folder.
///
/// # Errors
/// The files cannot be written.
pub fn write(folder: &Path, outcomes: &[Outcome]) -> io::Result<()> {
    type Value = fn(&Outcome) -> Option<f64>;
    let plots: [(&str, &str, Value); 3] = [
        ("scale-cpu.svg", "CPU of the waiter, seconds", |outcome| Some(outcome.cpu_seconds)),
        ("scale-memory.svg", "peak memory of the waiter, MiB", |outcome| Some(outcome.peak_mib)),
        ("scale-delay.svg", "delay from the end's acceptance to the answer, p99, ms", |outcome| {
            outcome.delays.map(|delays| delays.p99)
        }),
    ];
    for (file, title, value) in plots {
        std::fs::write(folder.join(file), svg(title, &lines(outcomes, value)))?;
    }
    Ok(())
}

/// A waiter's line.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

/// The lines, in the order of the waiters. A run that was not completed is not a point, but is marked in the name.
#[expect(clippy::cast_precision_loss, reason = "a number of pods")]
fn lines(outcomes: &[Outcome], value: impl Fn(&Outcome) -> Option<f64>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for outcome in outcomes {
        let known = lines.iter().position(|line| line.name.split(' ').next() == Some(&outcome.waiter));
        let place = known.unwrap_or_else(|| {
            lines.push(Line { name: outcome.waiter.clone(), points: Vec::new() });
            lines.len() - 1
        });
        let line = &mut lines[place];
        match value(outcome) {
            // A value that is too small to be measured has no logarithm.
            Some(value) if outcome.is_good() => line.points.push((outcome.count as f64, value.max(0.01))),
            _ if line.name.contains('(') => {}
            _ => {
                let _ = write!(line.name, " (not {})", outcome.count);
            }
        }
    }
    lines
}

/// The position of a value between powers of ten, from 0 to 1.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value.log10()), high.max(value.log10()))
        });
        if low > high { Self { low: 0.0, high: 1.0 } } else { Self { low, high } }
    }

    /// Widens the axis to whole powers of ten.
    fn whole(self) -> Self {
        let low = self.low.floor();
        Self { low, high: self.high.ceil().max(low + 1.0) }
    }

    fn place(&self, value: f64) -> f64 {
        let width = (self.high - self.low).max(f64::EPSILON);
        (value.log10() - self.low) / width
    }
}

fn svg(title: &str, lines: &[Line]) -> String {
    let [left, right, top, bottom] = AREA;
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let (across, up) =
        (Axis::over(points().map(|point| point.0)), Axis::over(points().map(|point| point.1)).whole());
    let x = |count: f64| left + across.place(count) * (right - left);
    let y = |value: f64| bottom - up.place(value) * (bottom - top);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{left}\" y=\"26\" font-size=\"16\">{title}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">pods waited for (N)</text>\n",
        (left + right) / 2.0,
        HEIGHT - 10.0,
    );
    let mut rule = |from: (f64, f64), to: (f64, f64), text: (f64, f64), anchor: &str, value: f64| {
        let _ = writeln!(
            out,
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#d0d0d0\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{value}</text>",
            from.0, from.1, to.0, to.1, text.0, text.1,
        );
    };
    let mut power = up.low;
    while power <= up.high {
        let value = 10f64.powf(power);
        let at = y(value);
        // As a decimal with this many places, since most powers of ten are not exact in binary.
        let shown = if power < 0.0 { (value * 1e6).round() / 1e6 } else { value.round() };
        rule((left, at), (right, at), (left - 8.0, at + 4.0), "end", shown);
        power += 1.0;
    }
    let mut counts: Vec<f64> = points().map(|point| point.0).collect();
    counts.sort_unstable_by(f64::total_cmp);
    counts.dedup();
    for count in counts {
        rule((x(count), top), (x(count), bottom), (x(count), bottom + 18.0), "middle", count);
    }

    let mut names: Vec<(f64, usize)> = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let places: Vec<(f64, f64)> = line.points.iter().map(|point| (x(point.0), y(point.1))).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (x, y) in &places {
            let _ = writeln!(out, "{}", marker(number, *x, *y, colour));
        }
        names.push((places.last().map_or(bottom, |place| place.1), number));
    }
    for (at, number) in apart(names) {
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            out,
            "{}<text x=\"{}\" y=\"{:.1}\">{}</text>",
            marker(number, right + 20.0, at, colour),
            right + 32.0,
            at + 4.0,
            lines[number].name,
        );
    }
    out.push_str("</svg>\n");
    out
}

/// The positions of names, from top to bottom, moved so that they do not overlap.
fn apart(mut names: Vec<(f64, usize)>) -> Vec<(f64, usize)> {
    names.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut free = f64::NEG_INFINITY;
    for (at, _) in &mut names {
        *at = at.max(free);
        free = *at + LINE;
    }
    let below = (free - LINE - AREA[3]).max(0.0);
    for (at, _) in &mut names {
        *at -= below;
    }
    names
}

/// A circle, square, triangle or diamond, full or empty.
fn marker(number: usize, x: f64, y: f64, colour: &str) -> String {
    let corners = match number % 4 {
        0 => return format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" {}/>", paint(number, colour)),
        1 => [(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)],
        2 => [(0.0, -5.0), (5.0, 4.0), (-5.0, 4.0), (0.0, -5.0)],
        _ => [(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)],
    };
    let corners = corners.map(|(right, down)| format!("{:.1},{:.1}", x + right, y + down));
    format!("<polygon points=\"{}\" {}/>", corners.join(" "), paint(number, colour))
}

fn paint(number: usize, colour: &str) -> String {
    let fill = if number < 4 { colour } else { "#ffffff" };
    format!("fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.5\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(waiter: &str, count: usize, cpu_seconds: f64) -> Outcome {
        Outcome { waiter: waiter.to_owned(), count, cpu_seconds, right: count, ..Outcome::default() }
    }

    #[test]
    fn every_waiter_has_a_line_and_a_name() {
        let mut outcomes = vec![outcome("a", 50, 0.1), outcome("b", 50, 1.0), outcome("a", 500, 1.0)];
        outcomes.push(Outcome { trouble: Some(String::from("late")), ..outcome("b", 500, 9.0) });
        let lines = lines(&outcomes, |outcome| Some(outcome.cpu_seconds));
        let text = svg("CPU", &lines);
        assert_eq!(text.matches("<polyline").count(), 2);
        assert!(text.contains(">a<") && text.contains(">b (not 500)<"), "{text}");
        // The axis ends at the powers of ten around the values: 0.1 is at the bottom, 1 at the top.
        assert!(text.contains("points=\"70.0,410.0 560.0,50.0\""), "{text}");
    }

    #[test]
    fn a_plot_without_results_is_valid() {
        assert!(svg("CPU", &[]).ends_with("</svg>\n"));
        let alone = lines(&[outcome("a", 50, 0.0)], |outcome| Some(outcome.cpu_seconds));
        assert!(!svg("CPU", &alone).contains("NaN"));
    }

    #[test]
    fn names_do_not_overlap() {
        let places = apart(vec![(410.0, 0), (405.0, 1), (60.0, 2)]);
        assert_eq!(places.iter().map(|place| place.1).collect::<Vec<_>>(), [2, 1, 0]);
        assert!(places.windows(2).all(|pair| pair[1].0 - pair[0].0 >= LINE), "{places:?}");
        assert!(places.iter().all(|place| place.0 <= AREA[3]), "{places:?}");
    }
}
