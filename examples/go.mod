module github.com/palegate/palegate/examples

go 1.26.0

require github.com/palegate/palegate v0.0.0

require (
	github.com/tidwall/gjson v1.20.1 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
	github.com/tidwall/sjson v1.2.7 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/palegate/palegate => ..
