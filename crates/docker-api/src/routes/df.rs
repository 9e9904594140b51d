//! `GET /system/df`

use wharf_engine::model::DfQuery;

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::{self, Outcome};
use crate::request::query::Query;
use crate::version::ApiVersion;
use crate::wire::disk::{Report, Wanted};

/// What to measure and how to print it.
fn read(query: &Query, version: ApiVersion) -> Result<(DfQuery, Wanted), ApiError> {
    let types = query.all("type");
    // Until 1.41 it was always all of it.
    let all = types.is_empty() || version.before(42);
    let mut measure = DfQuery {
        containers: all,
        images: all,
        volumes: all,
    };
    let mut build_cache = all;
    for kind in types.iter().filter(|_| !all) {
        match kind.as_str() {
            "container" => measure.containers = true,
            "image" => measure.images = true,
            "volume" => measure.volumes = true,
            "build-cache" => build_cache = true,
            other => {
                return Err(ApiError::bad_request(format!(
                    "unknown object type: {other}"
                )));
            }
        }
    }
    let verbose = query.some("verbose").filter(|_| version.at_least(52));
    let items = match verbose {
        None => true,
        Some("1" | "t" | "T" | "true" | "TRUE" | "True") => true,
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => false,
        Some(other) => {
            return Err(ApiError::bad_request(format!(
                "invalid value for verbose: {other}"
            )));
        }
    };
    let wanted = Wanted {
        // Who does not say how much it wants to know gets both forms.
        lists: verbose.is_none(),
        sums: version.at_least(52),
        items,
        build_cache,
    };
    Ok((measure, wanted))
}

pub(super) async fn df(call: Call) -> Outcome {
    let (measure, wanted) = read(&call.query, call.version)?;
    let usage = call.engine().df(measure).await?;
    reply::ok(&Report::of(usage, wanted, call.version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str, version: u32) -> (DfQuery, Wanted) {
        read(&Query::parse(query), ApiVersion::v1(version)).unwrap()
    }

    #[test]
    fn types_choose_what_is_measured_since_1_42() {
        let (measure, wanted) = of("type=volume&type=build-cache", 42);
        assert!(measure.volumes && !measure.images && !measure.containers && wanted.build_cache);
        let (measure, _) = of("type=volume", 41);
        assert!(measure.volumes && measure.images && measure.containers);
        let refused = read(&Query::parse("type=floppy"), ApiVersion::NEWEST).unwrap_err();
        assert_eq!(refused.message, "unknown object type: floppy");
    }

    #[test]
    fn the_sums_came_with_1_52() {
        let lists_and_sums = |query, version| {
            let (_, wanted) = of(query, version);
            (wanted.lists, wanted.sums, wanted.items)
        };
        assert_eq!(lists_and_sums("", 51), (true, false, true));
        assert_eq!(lists_and_sums("", 52), (true, true, true));
        assert_eq!(lists_and_sums("verbose=0", 52), (false, true, false));
        assert_eq!(lists_and_sums("verbose=1", 52), (false, true, true));
        assert_eq!(lists_and_sums("verbose=0", 51), (true, false, true));
    }
}
