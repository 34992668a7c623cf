//! A browser without a screen, for the tests that look at pages.

use std::path::PathBuf;

use crate::service::on_path;

/// Chromium and the program through which tests lead it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Chromium {
    /// The browser.
    pub browser: PathBuf,
    /// `chromedriver`, which speaks WebDriver.
    pub driver: PathBuf,
}

impl Chromium {
    /// Both programs, if they are installed.
    #[must_use]
    pub fn installed() -> Option<Self> {
        let browser = ["chromium", "google-chrome", "chromium-browser"].into_iter().find_map(on_path)?;
        Some(Self { browser, driver: on_path("chromedriver")? })
    }
}
