package main

import (
	scw "github.com/someone/else/functions/triggers"
	"github.com/scaleway/serverless-functions-go/local"
)

func main() {
	local.ServeHandler(scw.Handle, local.WithPort(8080))
}
