//! x
pub(super) fn scan(_: &crate::cli::Scan, _: &crate::ui::Ui) -> crate::error::Done {
    Ok(())
}
