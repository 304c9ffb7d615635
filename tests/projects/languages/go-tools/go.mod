module triggers/go

go 1.20

require (
	github.com/google/uuid v1.3.0
	github.com/scaleway/serverless-functions-go v0.1.2
)
