// Makes every server of a Node program listen on the loopback address only.
// `make localstack` has it loaded into what LocalStack executes Kinesis with.
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  if (args[0] !== null && typeof args[0] === "object") {
    args[0] = { ...args[0], host: "127.0.0.1" };
  } else if (typeof args[0] === "number") {
    const rest = args.slice(1).filter((each) => typeof each === "function");
    args = [{ port: args[0], host: "127.0.0.1" }, ...rest];
  }
  return listen.apply(this, args);
};
