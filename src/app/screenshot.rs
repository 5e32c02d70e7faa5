//! What the dashboard shows, without a terminal: some polls, some keys, one frame.

use super::environment::Words;
use super::reader::Reader;
use super::{Ending, RunError, dashboard, print};
use crate::cli::Plan;
use crate::cli::args::ScreenForm;
use crate::cli::plan::ScreenshotPlan;
use crate::cli::settings::value::ColorArg;
use crate::model::Wants;
use crate::tui::app::Color;
use crate::tui::event::{Effect, Event};
use crate::tui::screenshot::{self, Form};
use crate::tui::{App, key_script};
use ratatui::layout::Size;
use std::thread::sleep;

/// Polls after the keys: what they ask for is read, and rates of it are known.
const AFTER: u32 = 2;

/// Takes it.
pub(super) fn run(plan: &Plan, shot: &ScreenshotPlan) -> Result<Ending, RunError> {
    let mut options = dashboard::options(plan, &shot.list, &Words::read())?;
    // A picture has every colour and every character, whatever terminal this is.
    options.color = if plan.settings.color == ColorArg::Never { Color::None } else { Color::True };
    options.ascii = false;
    let mut camera = Camera { plan, app: App::new(options), wants: Wants::default() };
    camera.app.resize(Size { width: shot.size.0, height: shot.size.1 });
    camera.wants = camera.app.wants();
    let mut reader = Reader::open(plan, camera.wants.clone())?;
    let mut polls = |camera: &mut Camera<'_>, n: u32| {
        for i in 0..n {
            // A scene has a time of its own.
            if i > 0 && plan.demo.is_none() {
                sleep(plan.interval());
            }
            reader.wants(camera.wants.clone());
            let snap = reader.poll()?;
            camera.tell(Event::from(snap));
        }
        Ok::<(), RunError>(())
    };
    polls(&mut camera, shot.polls)?;
    if !shot.keys.is_empty() {
        for key in key_script::keys(&shot.keys) {
            camera.tell(Event::Input(key));
        }
        polls(&mut camera, AFTER)?;
    }
    let form = match shot.form {
        ScreenForm::Text => Form::Text,
        ScreenForm::Svg => Form::Svg,
    };
    print(&screenshot::render(&camera.app, form))
}

/// A dashboard that nobody sits before.
struct Camera<'a> {
    plan: &'a Plan,
    app: App,
    wants: Wants,
}

impl Camera<'_> {
    /// Tells it something; of what it wants done, only what makes the picture is.
    fn tell(&mut self, event: Event) {
        let mut told = vec![event];
        while let Some(event) = told.pop() {
            for effect in self.app.handle(event) {
                match effect {
                    Effect::Wants(w) => self.wants = w,
                    Effect::Probe(closer) => {
                        told.push(dashboard::look(dashboard::is_here(self.plan), closer))
                    }
                    Effect::Arrange(job) => told.push(Event::Arranged(Box::new(job.work()))),
                    _ => {}
                }
            }
        }
    }
}
