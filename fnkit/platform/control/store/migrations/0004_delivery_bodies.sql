-- Store the body of a delivery as bytes in a column of its own, and index deliveries by message. Columns for the
-- message's identifier and for the newest replay.
ALTER TABLE deliveries ADD COLUMN message_id TEXT;
ALTER TABLE deliveries ADD COLUMN replayed_by TEXT;
ALTER TABLE deliveries ADD COLUMN body BLOB NOT NULL DEFAULT x'';
UPDATE deliveries SET
  body = CAST(COALESCE(json_extract(record, '$.body'), '') AS BLOB),
  record = json_set(
    json_remove(record, '$.body'), '$.body_size', length(CAST(COALESCE(json_extract(record, '$.body'), '') AS BLOB))
  );
DROP INDEX deliveries_source;
CREATE INDEX deliveries_source ON deliveries (source_id, seq, status);
CREATE INDEX deliveries_message ON deliveries (source_id, message_id) WHERE message_id IS NOT NULL;
