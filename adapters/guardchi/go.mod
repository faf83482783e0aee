module github.com/palegate/palegate/adapters/guardchi

go 1.26.0

require (
	github.com/go-chi/chi/v5 v5.5.0
	github.com/palegate/palegate v0.0.0
)

require (
	github.com/tidwall/gjson v1.20.1 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
)

replace github.com/palegate/palegate => ../..
