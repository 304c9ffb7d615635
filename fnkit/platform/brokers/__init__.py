"""The brokers of queue triggers: which NATS or SQS service an API object refers to, and with which credentials."""
