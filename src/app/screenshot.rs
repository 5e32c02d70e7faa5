//! Screenshot of the dashboard without a terminal: polls, keys, one frame.

use super::environment::TerminalEnv;
use super::exit_status::{ExitStatus, RunError};
use super::print::print;
use super::reader::Reader;
use super::{asked, dashboard};
use crate::cli::Plan;
use crate::cli::args::ScreenForm;
use crate::cli::plan::ScreenshotPlan;
use crate::cli::settings::value::ColorArg;
use crate::model::Wants;
use crate::model::lang::set_lang;
use crate::tui::Color;
use crate::tui::event::{Effect, Event};
use crate::tui::export::Form;
use crate::tui::screenshot;
use crate::tui::screenshot::animation::{self, Frame};
use crate::tui::{App, key_script};
use ratatui::layout::Size;
use std::thread::sleep;

/// Polls after the keys, so that what the new view needs is read and has rates.
const POLLS_AFTER_KEYS: u32 = 2;

/// Prints the screenshot.
pub(super) fn run(plan: &Plan, shot: &ScreenshotPlan) -> Result<ExitStatus, RunError> {
    let mut options = dashboard::options(plan, &shot.list, &TerminalEnv::read())?;
    set_lang(options.lang);
    // All colors and characters, independent of this terminal.
    options.color = if plan.settings.color == ColorArg::Never { Color::None } else { Color::True };
    options.ascii = false;
    // As on a terminal with a dark background, which it does not paint.
    options.ground = Some(0);
    let mut headless = Headless { plan, app: App::new(options), wants: Wants::default() };
    headless.app.resize(Size { width: shot.size.0, height: shot.size.1 });
    headless.wants = headless.app.wants();
    let mut reader = Reader::open(plan, headless.wants.clone())?;
    let mut polls = |headless: &mut Headless<'_>, n: u32| -> Result<(), RunError> {
        for i in 0..n {
            // Demo data has its own clock.
            if i > 0 && plan.demo.is_none() {
                sleep(plan.interval());
            }
            reader.set_wants(headless.wants.clone());
            let snap = reader.poll()?;
            headless.handle(Event::from(snap));
        }
        Ok(())
    };
    polls(&mut headless, shot.polls)?;
    if shot.animate {
        let frames = record(&mut headless, &shot.keys, &mut polls)?;
        return print(&animation::animation(&headless.app, &frames));
    }
    if !shot.keys.is_empty() {
        for key in key_script::keys(&shot.keys) {
            headless.handle(Event::Input(key));
        }
        polls(&mut headless, POLLS_AFTER_KEYS)?;
    }
    let form = match shot.form {
        ScreenForm::Text => Form::Text,
        ScreenForm::Svg => Form::Svg,
    };
    print(&screenshot::render(&headless.app, form))
}

/// Time for which a frame is shown, milliseconds: the first and the last one, one after a key, one while text is typed.
const FRAME_MS: (u32, u32, u32) = (2000, 1500, 110);

/// A frame before the first key and one after each, with the keys as captions.
fn record(
    headless: &mut Headless<'_>,
    keys: &str,
    polls: &mut impl FnMut(&mut Headless<'_>, u32) -> Result<(), RunError>,
) -> Result<Vec<Frame>, RunError> {
    let mut frames = vec![animation::frame(&headless.app, "", FRAME_MS.0)];
    let keys = key_script::keys(keys);
    let mut typed = String::new();
    for (i, key) in keys.iter().enumerate() {
        match key_script::typed(key).filter(|_| headless.app.is_typing()) {
            Some(c) => typed.push(c),
            None => typed.clear(),
        }
        headless.handle(Event::Input(key.clone()));
        let typing = headless.app.is_typing() && keys.get(i + 1).and_then(key_script::typed).is_some();
        if !typing {
            polls(headless, 1)?;
        }
        let label = if typed.is_empty() { key_script::label(key) } else { typed.clone() };
        let ms = match typing {
            true => FRAME_MS.2,
            false if i + 1 == keys.len() => FRAME_MS.0 + FRAME_MS.1,
            false => FRAME_MS.1,
        };
        frames.push(animation::frame(&headless.app, &label, ms));
    }
    Ok(frames)
}

/// A dashboard without a terminal.
struct Headless<'a> {
    plan: &'a Plan,
    app: App,
    wants: Wants,
}

impl Headless<'_> {
    /// Handles an event, and the effects that change the picture.
    fn handle(&mut self, event: Event) {
        let mut pending = vec![event];
        while let Some(event) = pending.pop() {
            for effect in self.app.handle(event) {
                match effect {
                    Effect::Wants(w) => self.wants = w,
                    Effect::Probe(request) => {
                        let result = asked::details(self.plan.is_live(), &request);
                        pending.push(Event::Probed(request, Box::new(result)));
                    }
                    Effect::Answer(question) => {
                        let result = asked::answer(self.plan, &question);
                        pending.push(Event::Answered(question, Box::new(result)));
                    }
                    Effect::Arrange(job) => pending.push(Event::Arranged(Box::new(job.work()))),
                    _ => {}
                }
            }
        }
    }
}
