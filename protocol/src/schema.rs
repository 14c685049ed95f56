//! JSON schemas of the names and values that are more than their fields: what the deriving of the others
//! can't see. Only with the feature `openapi`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::fleet::{GeoPoint, LATITUDE_MAX, Pool};
use crate::limits::MESSAGE_ID_CHARS_MAX;
use crate::timestamp::Timestamp;
use crate::{
    Agent, ConnectionId, NodeId, OrderId, PassengerId, RequestId, Resource, SessionId, Tenant, Topic,
    VehicleId,
};

macro_rules! text_schema {
    ($type:ident, $description:literal, $pattern:literal, $example:literal) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $description,
                    "pattern": $pattern,
                    "examples": [$example],
                })
            }
        }
    };
}

text_schema!(Tenant, "An isolated customer.", "^[A-Za-z0-9._-]{1,64}$", "default");
text_schema!(
    Topic,
    "What a message can be addressed to, `kind:id`.",
    "^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._~@+-]{1,128}$",
    "route:12"
);
text_schema!(
    Agent,
    "Who is talking, `type:id`.",
    "^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._~@+-]{1,128}$",
    "vehicle:V17"
);
text_schema!(Pool, "A pool of passengers.", "^(route|depot):[A-Za-z0-9._~@+-]{1,128}$", "route:12");
text_schema!(ConnectionId, "One WebSocket on one node.", "^[A-Za-z0-9._~@+-]{1,64}$", "k3x9q2-1c");
text_schema!(SessionId, "A client's presence, outliving its sockets.", "^[A-Za-z0-9._~@+-]{1,128}$", "S-7");
text_schema!(NodeId, "A running node.", "^[A-Za-z0-9._~@+]{1,32}$", "k3x9q2");
text_schema!(PassengerId, "A passenger of a tenant.", "^[A-Za-z0-9._~@+-]{1,128}$", "COM_1");
text_schema!(VehicleId, "A vehicle of a tenant.", "^[A-Za-z0-9._~@+-]{1,128}$", "V17");
text_schema!(OrderId, "An order that one driver accepts.", "^[A-Za-z0-9._~@+-]{1,128}$", "99");

text_schema!(
    Resource,
    "What a lock is on: a name that its users agree on.",
    "^[A-Za-z0-9._~@+:-]{1,200}$",
    "bay-4"
);

impl JsonSchema for RequestId {
    fn schema_name() -> Cow<'static, str> {
        "RequestId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Chosen by whoever asks: the same id again is a retry, and gets the first answer.",
            "minLength": 1,
            "maxLength": MESSAGE_ID_CHARS_MAX,
            "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
            "examples": ["019b7892-1c00"],
        })
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An instant (RFC 3339), not before 1970.",
            "format": "date-time",
            "examples": ["2026-01-01T08:00:00.000Z"],
        })
    }
}

impl JsonSchema for GeoPoint {
    fn schema_name() -> Cow<'static, str> {
        "GeoPoint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "A place: WGS 84, in degrees.",
            "properties": {
                "lat": {
                    "type": "number",
                    "description": "Degrees north.",
                    "minimum": -LATITUDE_MAX,
                    "maximum": LATITUDE_MAX,
                },
                "lon": {"type": "number", "description": "Degrees east.", "minimum": -180, "maximum": 180},
            },
            "required": ["lat", "lon"],
            "examples": [{"lat": 13.1, "lon": -59.6}],
        })
    }
}
