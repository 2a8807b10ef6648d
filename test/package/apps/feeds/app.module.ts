import { Controller, Module, Param, Post } from '@nestjs/common';
import { Feed, FeedModule, FeedService } from 'nestjs-feed';
import { HealthModule } from 'nestjs-feed/health';
import { MetricsModule } from 'nestjs-feed/metrics';

@Controller('orders')
class OrdersController {
  constructor(private readonly feeds: FeedService) {}

  @Feed(':id')
  follow(@Param('id') _id: string) {}

  @Post(':id')
  async change(@Param('id') id: string) {
    await this.feeds.publish(`orders/${id}`, { changed: id });
  }
}

@Module({
  imports: [FeedModule.forRoot({ path: 'feeds', intervalMs: 100, public: true, drainMs: 500 }), HealthModule, MetricsModule],
  controllers: [OrdersController],
})
export class AppModule {}
