-- Version 4: findings by the container's name, and so whether there is one whose name is not one short text.
CREATE INDEX findings_by_container_name ON findings (container_name, event_time, seq);
