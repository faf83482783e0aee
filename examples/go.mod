module github.com/palegate/palegate/examples

go 1.26.0

require github.com/palegate/palegate v0.0.0

replace github.com/palegate/palegate => ..
