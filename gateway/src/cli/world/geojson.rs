//! What of GeoJSON (RFC 7946) makes a network: lines are routes, points are depots, the rest is left out.
//!
//! Properties that are read: `route_id`, `name`, `stops` (how many) and `depot_id` of a line; `depot_id` and
//! `name` of a point.

use serde::Deserialize;
use serde_json::Value;
use signalbox_protocol::fleet::GeoPoint;

/// A document, or a feature of one.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Object {
    FeatureCollection {
        features: Vec<Object>,
    },
    Feature {
        #[serde(default)]
        properties: Option<Properties>,
        geometry: Option<Box<Object>>,
    },
    LineString {
        coordinates: Vec<Vec<f64>>,
    },
    Point {
        coordinates: Vec<f64>,
    },
    #[serde(other)]
    Other,
}

/// What is said about a line or point.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Properties {
    #[serde(default, deserialize_with = "id")]
    pub(super) route_id: Option<String>,
    #[serde(default, deserialize_with = "id")]
    pub(super) depot_id: Option<String>,
    #[serde(default)]
    pub(super) stops: Option<u32>,
}

/// The lines and the points of a document, in its order.
#[derive(Debug, Default)]
pub(super) struct Features {
    pub(super) lines: Vec<(Properties, Vec<GeoPoint>)>,
    pub(super) points: Vec<(Properties, GeoPoint)>,
}

pub(super) fn read(text: &str) -> anyhow::Result<Features> {
    let mut features = Features::default();
    collect(&mut features, serde_json::from_str(text)?, Properties::default())?;
    Ok(features)
}

fn collect(features: &mut Features, object: Object, properties: Properties) -> anyhow::Result<()> {
    match object {
        Object::FeatureCollection { features: members } => {
            members.into_iter().try_for_each(|member| collect(features, member, Properties::default()))?;
        }
        Object::Feature { properties, geometry: Some(geometry) } => {
            collect(features, *geometry, properties.unwrap_or_default())?;
        }
        Object::LineString { coordinates } => {
            let points = coordinates.iter().map(|pair| place(pair)).collect::<anyhow::Result<_>>()?;
            features.lines.push((properties, points));
        }
        Object::Point { coordinates } => features.points.push((properties, place(&coordinates)?)),
        Object::Feature { geometry: None, .. } | Object::Other => {}
    }
    Ok(())
}

/// GeoJSON has the longitude first, and perhaps a height after the latitude.
fn place(coordinates: &[f64]) -> anyhow::Result<GeoPoint> {
    match coordinates {
        [lon, lat, ..] => Ok(GeoPoint::try_new(*lat, *lon)?),
        _ => anyhow::bail!("a position is [longitude, latitude]"),
    }
}

/// An id, which in others' files may be a number.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(serde::de::Error::custom("an id is a string or a number"))
        }
    }
}
